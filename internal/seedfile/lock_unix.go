//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package seedfile

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// lockFile takes an exclusive flock(2) on a file, which the system gives back
// when the process ends, however it does. The file is not removed afterwards:
// between a removal and a new lock two processes could each hold one.
func lockFile(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		file.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, ErrInUse
		}
		return nil, fmt.Errorf("flock %s: %w", path, err)
	}
	if err := checkLock(file); err != nil {
		file.Close()
		return nil, err
	}
	// For the message that another process prints; the lock does not depend on
	// it.
	if file.Truncate(0) == nil {
		_, _ = fmt.Fprintf(file, "%d\n", os.Getpid())
	}
	return file, nil
}

// maxLock is how long a lock file is at most: a process's number of 64 bits and
// a line's end.
const maxLock = 21 // bytes

// checkLock refuses what is no lock of ours, before it is written over.
func checkLock(file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Size() > maxLock {
		return fmt.Errorf("%s is there and is no seed file's lock: remove it or name another seed file", file.Name())
	}
	return nil
}

// holder names the process that wrote itself into the lock file, if it can be
// read.
func holder(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || pid <= 0 {
		return ""
	}
	return " by process " + strconv.Itoa(pid)
}
