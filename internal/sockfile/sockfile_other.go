//go:build !linux

package sockfile

import (
	"errors"
	"io/fs"
	"net"
)

// listen sets the mode after it listens: package net has no step between.
func listen(path string, mode fs.FileMode) (*net.UnixListener, fs.FileInfo, error) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, nil, err
	}
	l.SetUnlinkOnClose(false)
	own, err := setUp(path, mode)
	if err != nil {
		return nil, nil, errors.Join(err, l.Close())
	}
	return l, own, nil
}

// Lock does nothing here.
func Lock(string) (unlock func()) { return func() {} }
