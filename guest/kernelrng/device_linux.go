package kernelrng

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// file is the open random device. It is no os.File: that would give it to the
// poller, of which ioctl(2) has no use.
type file int

func openDevice() (device, error) {
	for {
		fd, err := unix.Open(Device, unix.O_WRONLY|unix.O_CLOEXEC, 0)
		switch {
		case err == nil:
			return file(fd), nil
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.ENOENT):
			return nil, fmt.Errorf("%s: %w (mount a devtmpfs on /dev first)", Device, err)
		default:
			return nil, &os.PathError{Op: "open", Path: Device, Err: err}
		}
	}
}

func (f file) add(info []byte) error {
	return f.ioctl(unix.RNDADDENTROPY, unsafe.Pointer(unsafe.SliceData(info)))
}

func (f file) reseed() error {
	return reseedError(f.ioctl(unix.RNDRESEEDCRNG, nil))
}

// reseedError names the one answer of RNDRESEEDCRNG that need not be a failure.
func reseedError(err error) error {
	if errors.Is(err, unix.ENODATA) {
		return errNeverSeeded
	}
	return err
}

func (f file) close() error { return os.NewSyscallError("close", unix.Close(int(f))) }

// ioctl retries when a signal came first.
func (f file) ioctl(request uint, arg unsafe.Pointer) error {
	for {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(f), uintptr(request), uintptr(arg))
		switch errno {
		case 0:
			return nil
		case unix.EINTR:
		case unix.ENOTTY, unix.EINVAL:
			return fmt.Errorf("ioctl 0x%x on %s: %w (kernel without this call, or %[2]s is not the kernel's device)",
				request, Device, errno)
		default:
			return fmt.Errorf("ioctl 0x%x on %s: %w", request, Device, errno)
		}
	}
}
