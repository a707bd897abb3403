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
		return nil, fmt.Errorf("the kernel has pages of %d bytes, Xen's devices share pages of %d: use a kernel "+
			"with 4 KiB pages", n, PageSize)
	}
	return machine{}, nil
}

const openFlags = unix.O_RDWR | unix.O_CLOEXEC

func (machine) Open(path string) (int, error) {
	return untilDone(func() (int, error) { return unix.Open(path, openFlags, 0) })
}

func (machine) Close(fd int) error { return unix.Close(fd) }

func (machine) OpenPolled(path string) (File, error) {
	// Non-blocking, so that os.NewFile hands it to the runtime's poller.
	fd, err := untilDone(func() (int, error) { return unix.Open(path, openFlags|unix.O_NONBLOCK, 0) })
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), path), nil
}

func (machine) Ioctl(fd int, request uint32, arg []byte) (int, error) {
	return untilDone(func() (int, error) {
		n, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request),
			uintptr(unsafe.Pointer(unsafe.SliceData(arg))))
		if errno != 0 {
			return 0, errno
		}
		return int(n), nil
	})
}

func (machine) Read(fd int, p []byte) (int, error) {
	return untilDone(func() (int, error) { return unix.Read(fd, p) })
}

func (machine) Write(fd int, p []byte) (int, error) {
	return untilDone(func() (int, error) { return unix.Write(fd, p) })
}

// Mmap is interrupted by signals too, against mmap(2): the first mapping of a
// grant in a process takes all locks of its memory, which Linux gives up when
// a signal is pending (mm_take_all_locks, mm/mmap.c).
func (machine) Mmap(fd int, offset int64, length int) ([]byte, error) {
	return untilDone(func() ([]byte, error) {
		return unix.Mmap(fd, offset, length, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	})
}

// untilDone calls again what a signal interrupted. Go's runtime sends them all
// the time, to preempt goroutines.
func untilDone[T any](call func() (T, error)) (T, error) {
	for {
		v, err := call()
		if err != unix.EINTR {
			return v, err
		}
	}
}

func (machine) Munmap(b []byte) error { return unix.Munmap(b) }
