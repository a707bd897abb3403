package domain

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/xentropyd/xentropyd/transport"
)

// Lock takes the lock of a file (flock(2)) that only who may open it for
// writing can take, and that goes with the process.
func Lock(path string) (unlock func(), err error) {
	if path == "" {
		return func() {}, nil
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	if err := LockFile(f); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

// LockFile is Lock for an open file.
func LockFile(f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var locked error
	if err := raw.Control(func(fd uintptr) { locked = unix.Flock(int(fd), unix.LOCK_EX|unix.LOCK_NB) }); err != nil {
		return err
	}
	if errors.Is(locked, unix.EWOULDBLOCK) {
		return fmt.Errorf("%s is locked: %w", f.Name(), transport.ErrBusy)
	}
	if locked != nil {
		return fmt.Errorf("lock %s: %w", f.Name(), locked)
	}
	return nil
}
