package xendev

import (
	"syscall"
	"time"
)

// System is the system calls that the package makes. Errors are of type
// syscall.Errno, possibly wrapped.
type System interface {
	// Open opens a device for reading and writing.
	Open(path string) (fd int, err error)
	Close(fd int) error
	// OpenPolled opens a device that can be waited for.
	OpenPolled(path string) (File, error)

	// Ioctl gives what the call returns. Arg is read and written.
	Ioctl(fd int, request uint32, arg []byte) (int, error)
	// Read and Write do not wait: nothing to read is EAGAIN.
	Read(fd int, p []byte) (int, error)
	Write(fd int, p []byte) (int, error)

	// Mmap maps for reading and writing, shared.
	Mmap(fd int, offset int64, length int) ([]byte, error)
	Munmap(b []byte) error
}

// File is what [System.OpenPolled] gives: the part of an os.File that is used.
type File interface {
	SyscallConn() (syscall.RawConn, error)
	SetReadDeadline(t time.Time) error
	Close() error
}
