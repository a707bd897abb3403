package tpm

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"github.com/google/go-tpm/tpm2/transport"
	"golang.org/x/sys/unix"

	"github.com/xentropyd/xentropyd/source"
)

// maxResponse is the most that a TPM answers in bytes: Linux,
// drivers/char/tpm/tpm.h, TPM_BUFSIZE.
const maxResponse = 4096

// New makes a source of the TPM at a device path.
func New(path string) *Device {
	return NewTransport(path, func() (transport.TPMCloser, error) { return openDevice(path) })
}

// openDevice opens a TPM's device. Each of its errors is an [source.ErrAbsent].
func openDevice(path string) (_ transport.TPMCloser, err error) {
	absent := func(why, hint string) error { return source.NotPresent(path, why, hint) }
	// Blocking, so that a command is over when its write has returned and an
	// answer is there to be read; and without os.Open, which would change that.
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	for errors.Is(err, unix.EINTR) {
		fd, err = unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, absent("there is no such device",
			"turn the TPM on in the firmware, or give the virtual machine one")
	case errors.Is(err, fs.ErrPermission):
		return nil, absent("open: "+err.Error(), "run as root or in the group tss")
	case errors.Is(err, syscall.EBUSY):
		return nil, absent("another process has it open", "use the resource manager's "+DefaultDevice)
	case err != nil:
		return nil, absent("open: "+err.Error(), "see the kernel log")
	}
	f := os.NewFile(uintptr(fd), path)
	if info, err := f.Stat(); err != nil || info.Mode()&fs.ModeCharDevice == 0 {
		_ = f.Close()
		return nil, absent("not a character device", "name the TPM's, such as "+DefaultDevice)
	}
	return device{f}, nil
}

// device speaks to Linux's TPM devices. Unlike go-tpm's, it hands on the answer
// of a TPM that wants a command to be sent again.
type device struct{ *os.File }

// Send runs a command. That takes as long as the TPM likes.
func (d device) Send(command []byte) ([]byte, error) {
	if _, err := d.Write(command); err != nil {
		return nil, err
	}
	answer := make([]byte, maxResponse)
	n, err := d.Read(answer)
	return answer[:n], err
}
