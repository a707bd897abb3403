//go:build !linux

package xenstore

import (
	"errors"
	"fmt"
	"io"
	"runtime"
)

func openDevice(path string) (io.ReadWriteCloser, error) {
	return nil, fmt.Errorf("open %s: the xenbus device of %s is not supported, use the socket of xenstored: %w",
		path, runtime.GOOS, errors.ErrUnsupported)
}
