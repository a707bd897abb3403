package console

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/xentropyd/xentropyd/internal/rawtty"
	"github.com/xentropyd/xentropyd/transport/internal/domain"
)

// openTerminal opens a terminal for one process alone, in raw mode, with
// nothing left in it.
func openTerminal(path string) (_ terminal, err error) {
	// Non-blocking, so that the runtime polls it; without O_NOCTTY it would
	// become the controlling terminal of an init.
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	f := os.NewFile(uintptr(fd), path)
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	if err := domain.LockFile(f); err != nil {
		return nil, err
	}
	if err := rawtty.Set(f); err != nil {
		return nil, fmt.Errorf("set %s to raw mode: %w", path, err)
	}
	return f, nil
}

// notReady says that a console's driver has not taken the device yet.
func notReady(err error) bool {
	return errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENXIO) || errors.Is(err, unix.EIO)
}
