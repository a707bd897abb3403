//go:build unix

package seedfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// openSeed opens without following a link at the end of the path, and without
// waiting for a FIFO's writer.
func openSeed(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	// FreeBSD says EMLINK where others say ELOOP (open(2)).
	if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.EMLINK) {
		return nil, &RefusedError{Path: path, Reason: ErrNotRegular, Detail: "a symbolic link"}
	}
	// A socket cannot be opened: ENXIO, EOPNOTSUPP on BSDs (open(2)).
	if errors.Is(err, unix.ENXIO) || errors.Is(err, unix.EOPNOTSUPP) {
		return nil, &RefusedError{Path: path, Reason: ErrNotRegular, Detail: "a socket or a device without a driver"}
	}
	return file, err
}

// checkOwner refuses a file that others may have read or written.
func checkOwner(info fs.FileInfo) error {
	if perm := info.Mode().Perm(); perm&0o077 != 0 {
		return &RefusedError{Reason: ErrPermissions, Detail: fmt.Sprintf("mode %04o instead of 0600", perm)}
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("the system does not tell the owner of %s", info.Name())
	}
	if uid := int(stat.Uid); uid != 0 && uid != os.Geteuid() {
		return &RefusedError{Reason: ErrOwner, Detail: fmt.Sprintf("user %d, we are %d", uid, os.Geteuid())}
	}
	return nil
}

// syncDir makes renames in a directory last.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	// Some network and FUSE file systems have no fsync for directories and say
	// EINVAL (fsync(2)). There is nothing more to be done there.
	if err := dir.Sync(); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOTSUP) {
		return err
	}
	return nil
}
