package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// wholeFile asks for a lock on all of a file (fcntl(2)).
func wholeFile(kind int16) *unix.Flock_t {
	return &unix.Flock_t{Type: kind, Whence: io.SeekStart}
}

// claim takes a lock on a new status file that the kernel gives back when the file is closed, however its process
// ends. It needs no /proc and no number of a process, so it is seen in every namespace; and only who may write to
// the file can take it, so that no reader can make a dead process look alive (fcntl(2), open file description
// locks).
func claim(f *os.File) error {
	err := fcntlLock(f, unix.F_OFD_SETLK, wholeFile(unix.F_WRLCK))
	if err != nil {
		return fmt.Errorf("lock it as a sign of life: %w", err)
	}
	return nil
}

// keepOpen says that a claim lasts for as long as the file is open.
const keepOpen = true

// claimed says whether somebody holds the claim on a file. It only asks, and never stands in the way of anybody.
func claimed(f *os.File) (bool, error) {
	lock := wholeFile(unix.F_RDLCK)
	if err := fcntlLock(f, unix.F_OFD_GETLK, lock); err != nil {
		return false, fmt.Errorf("ask for its lock: %w", err)
	}
	return lock.Type != unix.F_UNLCK, nil
}

func fcntlLock(f *os.File, cmd int, lock *unix.Flock_t) error {
	for {
		if err := unix.FcntlFlock(f.Fd(), cmd, lock); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
