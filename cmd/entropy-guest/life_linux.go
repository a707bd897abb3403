package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// wholeFile asks for a lock on all of a file (fcntl(2)).
func wholeFile(kind int16) *unix.Flock_t {
	return &unix.Flock_t{Type: kind, Whence: io.SeekStart}
}

// claim takes a lock on a new status file that the kernel gives back when the
// file is closed, however its process ends. It needs no /proc and no number of
// a process, so it is seen in every namespace; and only who may write to the
// file can take it, so that no reader can make a dead process look alive
// (fcntl(2), open file description locks).
func claim(f *os.File) error {
	err := fcntlLock(f, unix.F_OFD_SETLK, wholeFile(unix.F_WRLCK))
	if err != nil {
		return fmt.Errorf("lock it as a sign of life: %w", err)
	}
	return nil
}

// keepOpen says that a claim lasts for as long as the file is open.
const keepOpen = true

// claimed says whether somebody holds the claim on a file. It only asks, and
// never stands in the way of anybody.
func claimed(f *os.File) (bool, error) {
	lock := wholeFile(unix.F_RDLCK)
	if err := fcntlLock(f, unix.F_OFD_GETLK, lock); err != nil {
		return false, fmt.Errorf("ask for its lock: %w", err)
	}
	return lock.Type != unix.F_UNLCK, nil
}

// put gives a claimed file its name. The file that has it now is replaced if it
// is the one that this process held so far, or nobody's; else it stays, and the
// error is errClaimed. Of two processes at the same moment one gets the name.
func put(from, name string, held *os.File) error {
	for {
		if held != nil && isNamed(held, name) {
			return os.Rename(from, name)
		}
		err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, name, unix.RENAME_NOREPLACE)
		if err == nil {
			return nil
		}
		// Else it is the rename below that says what is wrong: not every file
		// system knows the flag.
		taken := errors.Is(err, unix.EEXIST)
		old, err := takeOver(name)
		switch {
		case errors.Is(err, fs.ErrNotExist) && taken:
			continue // it has gone meanwhile
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return err
		}
		if old != nil && !isNamed(old, name) {
			_ = old.Close() // somebody was faster: look again
			continue
		}
		err = os.Rename(from, name)
		if old != nil {
			_ = old.Close()
		}
		return err
	}
}

// takeOver claims what a dead process left, so that no third one replaces it
// too. It returns nil for what nobody can have claimed.
func takeOver(name string) (*os.File, error) {
	st, err := os.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, nil
	}
	old, err := os.OpenFile(name, os.O_RDWR, 0)
	if err == nil {
		if err = fcntlLock(old, unix.F_OFD_SETLK, wholeFile(unix.F_WRLCK)); err == nil {
			return old, nil
		}
		_ = old.Close()
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
			return nil, errClaimed
		}
		return nil, fmt.Errorf("claim the old one: %w", err)
	}
	if old, err = os.Open(name); err != nil {
		return nil, nil // the directory alone says who may replace it
	}
	defer old.Close()
	if is, err := claimed(old); err == nil && is {
		return nil, errClaimed
	}
	return nil, nil
}

// isNamed says whether a file is the one that has the name.
func isNamed(f *os.File, name string) bool {
	is, err := os.Lstat(name)
	if err != nil {
		return false
	}
	st, err := f.Stat()
	return err == nil && os.SameFile(st, is)
}

func fcntlLock(f *os.File, cmd int, lock *unix.Flock_t) error {
	for {
		if err := unix.FcntlFlock(f.Fd(), cmd, lock); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
