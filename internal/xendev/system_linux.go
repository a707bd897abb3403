package xendev

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// machine is the System of this machine.
type machine struct{}

func thisMachine() (System, error) {
	if n := os.Getpagesize(); n != PageSize {
		return nil, fmt.Errorf("the kernel has pages of %d bytes, Xen's devices share pages of %d: use a kernel with 4 KiB pages", n, PageSize)
	}
	return machine{}, nil
}

const openFlags = unix.O_RDWR | unix.O_CLOEXEC

func (machine) Open(path string) (int, error) {
	for {
		fd, err := unix.Open(path, openFlags, 0)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

func (machine) Close(fd int) error { return unix.Close(fd) }

func (machine) OpenPolled(path string) (File, error) {
	// Non-blocking, so that os.NewFile hands it to the runtime's poller.
	fd, err := unix.Open(path, openFlags|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), path), nil
}

func (machine) Ioctl(fd int, request uint32, arg []byte) (int, error) {
	for {
		n, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request), uintptr(unsafe.Pointer(unsafe.SliceData(arg))))
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

func (machine) Read(fd int, p []byte) (int, error) {
	for {
		n, err := unix.Read(fd, p)
		if err != unix.EINTR {
			return n, err
		}
	}
}

func (machine) Write(fd int, p []byte) (int, error) {
	for {
		n, err := unix.Write(fd, p)
		if err != unix.EINTR {
			return n, err
		}
	}
}

func (machine) Mmap(fd int, offset int64, length int) ([]byte, error) {
	return untilDone(func() ([]byte, error) {
		return unix.Mmap(fd, offset, length, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	})
}

// untilDone calls again what a signal interrupted. Go's runtime sends signals to preempt goroutines, and the first mapping of a grant in a process takes
// all locks of its memory, which Linux gives up when a signal is pending (mm_take_all_locks, mm/mmap.c).
func untilDone(call func() ([]byte, error)) ([]byte, error) {
	for {
		b, err := call()
		if err != unix.EINTR {
			return b, err
		}
	}
}

func (machine) Munmap(b []byte) error { return unix.Munmap(b) }
