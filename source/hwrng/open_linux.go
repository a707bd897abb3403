package hwrng

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/xentropyd/xentropyd/internal/rawtty"
	"github.com/xentropyd/xentropyd/source"
)

// currentFile names the generator behind /dev/hwrng, and speaks of no other
// device: Linux, Documentation/admin-guide/hw_random.rst.
const currentFile = "/sys/class/misc/hw_random/rng_current"

// The number of /dev/hwrng, under whatever name: linux/major.h, MISC_MAJOR, and
// linux/miscdevice.h, HWRNG_MINOR.
const (
	miscMajor  = 10
	hwrngMinor = 183
	memMajor   = 1 // null, zero, full, random, urandom, kmsg
)

// openDevice opens a generator and says which it is, if the kernel tells. A
// terminal is set to raw mode. Each of its errors is an [source.ErrAbsent].
func openDevice(path, current string) (_ *os.File, generator string, err error) {
	absent := func(why, hint string) error { return source.NotPresent(path, why, hint) }
	// Non-blocking: the driver answers EAGAIN while it has nothing, and no read
	// can hang for longer than the hardware does. A terminal is not to become
	// the controlling one of a daemon that has none.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, "", absent("there is no such device",
			"load the driver of the generator, or give the virtual machine a virtio-rng device")
	case errors.Is(err, fs.ErrPermission):
		return nil, "", absent(reason(err),
			"run as root, let the group of the service read it, or allow it by DeviceAllow= in its unit")
	case errors.Is(err, syscall.ENODEV), errors.Is(err, syscall.ENXIO):
		return nil, "", absent(reason(err), "the generator was unplugged, or its driver removed")
	case err != nil:
		return nil, "", absent(reason(err), "see the kernel log")
	}
	defer func() {
		if err != nil {
			_ = f.Close()
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return nil, "", absent(reason(err), "see the kernel log")
	}
	switch mode := info.Mode(); {
	case mode.IsRegular():
		return nil, "", absent("a regular file is no noise source: it ends", "name the generator's character device")
	case mode.IsDir():
		return nil, "", absent("this is a directory", "name the generator's character device")
	case mode&(fs.ModeCharDevice|fs.ModeNamedPipe) == 0:
		return nil, "", absent(fmt.Sprintf("neither a character device nor a FIFO (%v)", mode.Type()),
			"name the generator's character device")
	}
	if rdev, ok := charDevice(info); ok && unix.Major(rdev) == memMajor {
		return nil, "", absent("one of the kernel's own devices and no generator of the machine's; its random "+
			"numbers are mixed in anyway, and never counted",
			"name the generator's character device")
	}
	if isCore(info) {
		if generator = readCurrent(current); generator == "none" {
			return nil, "", absent("the kernel has no generator to put behind it",
				"load its driver, or give the virtual machine a virtio-rng device")
		}
		return f, generator, nil
	}
	if err := rawtty.Set(f); err != nil && !notTerminal(err) {
		return nil, "", absent("cannot be set to raw mode: "+reason(err), "free the terminal")
	}
	return f, "", nil
}

// notTerminal says that a file knows nothing of terminals: most drivers answer
// ENOTTY, some EINVAL or ENOSYS, to an ioctl that is not theirs.
func notTerminal(err error) bool {
	return errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS)
}

// reason is an error without the path, which stands before it already.
func reason(err error) string {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Op + ": " + e.Err.Error()
	}
	return err.Error()
}

// isCore says whether a device is the hw_random core's, of which currentFile
// speaks.
func isCore(info fs.FileInfo) bool {
	rdev, ok := charDevice(info)
	if !ok {
		return false
	}
	if rdev == unix.Mkdev(miscMajor, hwrngMinor) {
		return true
	}
	usual, err := os.Stat(DefaultDevice)
	if err != nil {
		return false
	}
	r, ok := charDevice(usual)
	return ok && r == rdev
}

func charDevice(info fs.FileInfo) (rdev uint64, ok bool) {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok || info.Mode()&fs.ModeCharDevice == 0 {
		return 0, false
	}
	return uint64(s.Rdev), true
}

func readCurrent(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.ToValidUTF8(strings.TrimSpace(string(b[:min(len(b), 64)])), "?")
}
