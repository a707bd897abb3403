package socket

import (
	"errors"
	"io/fs"
	"syscall"
)

var errPermission = fs.ErrPermission

// Nobody says whether a dial failed because there is no socket, or nobody
// behind it.
func Nobody(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}
