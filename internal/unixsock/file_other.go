//go:build !linux

package unixsock

import (
	"errors"
	"io/fs"
	"net"
	"os"
)

// ListenNet makes a stream socket at path. Its mode is set after it listens:
// package net has no step between.
func ListenNet(path string, mode fs.FileMode) (net.Listener, *File, error) {
	if err := clearStale(path); err != nil {
		return nil, nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, nil, err
	}
	l.SetUnlinkOnClose(false)
	err = os.Chmod(path, mode.Perm())
	own, serr := os.Lstat(path)
	if err = errors.Join(err, serr); err != nil {
		return nil, nil, errors.Join(err, os.Remove(path), l.Close())
	}
	return l, &File{path: path, own: own}, nil
}

// KeepOut is for Linux; here it keeps nobody out.
func (f *File) KeepOut(uint32) bool { return false }
