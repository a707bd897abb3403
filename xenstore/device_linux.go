package xenstore

import (
	"errors"
	"io"
	"os"
	"syscall"

	"github.com/xentropyd/xentropyd/xenstore/internal/wire"
)

// device is /dev/xen/xenbus (drivers/xen/xenbus/xenbus_dev_frontend.c, Linux
// 6.1). It gives replies and events as one stream; transactions and watches
// belong to the open file. Three things differ from a socket: a whole message,
// header included, must fit MaxPayload; some errors come from write(2) instead
// of in a reply; and a request stays in the file's one buffer until the
// kernel's thread has sent it, so that another one written before the reply
// takes its place.
type device struct{ *os.File }

func openDevice(path string) (io.ReadWriteCloser, error) {
	// The runtime makes it non-blocking and polls it, so that Close ends a
	// Read.
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return device{f}, nil
}

var _ Limited = device{}

// MaxPayload implements Limited.
func (device) MaxPayload() int { return wire.MaxPayload - wire.HeaderSize }

// OneAtATime implements Limited.
func (device) OneAtATime() bool { return true }

// errnos are the errors that the kernel gives for one request: those that it
// passes on from xenstored when it sets a watch, and its own for a message that
// it cannot take (it drops that message then).
var errnos = map[syscall.Errno]string{
	syscall.EINVAL: "EINVAL", syscall.EACCES: "EACCES", syscall.EEXIST: "EEXIST",
	syscall.ENOENT: "ENOENT", syscall.ENOMEM: "ENOMEM", syscall.ENOSPC: "ENOSPC",
	syscall.ENOSYS: "ENOSYS", syscall.EBUSY: "EBUSY", syscall.E2BIG: "E2BIG",
	syscall.EPERM: "EPERM", syscall.EROFS: "EROFS", syscall.EISCONN: "EISCONN",
}

// requestError tells a refused request from a broken device.
func (device) requestError(err error) (string, bool) {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return "", false
	}
	name, ok := errnos[errno]
	return name, ok
}
