// Package sockfile makes the files of Unix sockets so that nobody can connect before their mode is set.
package sockfile

import (
	"errors"
	"io/fs"
	"net"
	"os"
)

// Backlog is asked for; net.core.somaxconn caps it (listen(2)).
const Backlog = 4096

// setUp gives the new file its mode, takes it away again if that fails, and says which one it is.
func setUp(path string, mode fs.FileMode) (own fs.FileInfo, err error) {
	if err = os.Chmod(path, mode.Perm()); err == nil {
		own, err = os.Lstat(path)
	}
	if err != nil {
		return nil, errors.Join(err, os.Remove(path))
	}
	return own, nil
}

// Listen makes the socket file at path with this mode and listens there. What is there already is in its way (syscall.EADDRINUSE). The file is
// the caller's to remove; own tells it from another one of the same name.
func Listen(path string, mode fs.FileMode) (l *net.UnixListener, own fs.FileInfo, err error) {
	return listen(path, mode)
}
