package unixsock

import (
	"context"
	"errors"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// connectTime is how long a connect waits in the kernel before the context is
// looked at again.
const connectTime = 100 * time.Millisecond

// Connect is a net.Dialer's DialContext that waits, as long as ctx lets it,
// while too many others wait to be accepted. It does so in the kernel, in a
// thread of its own: there one has one's turn, and those who ask again and
// again do not get in before.
func Connect(ctx context.Context, path string) (*net.UnixConn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", path)
	if err == nil {
		return c.(*net.UnixConn), nil
	}
	for errors.Is(err, unix.EAGAIN) && ctx.Err() == nil {
		var uc *net.UnixConn
		if uc, err = connectBlocking(path); err == nil {
			return uc, nil
		}
	}
	return nil, err
}

// connectBlocking gives EAGAIN when connectTime is over.
func connectBlocking(path string) (_ *net.UnixConn, err error) {
	fail := func(err error) error {
		return &net.OpError{
			Op: "dial", Net: "unix", Addr: &net.UnixAddr{Name: path, Net: "unix"},
			Err: os.NewSyscallError("connect", err),
		}
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fail(err)
	}
	f := os.NewFile(uintptr(fd), path)
	defer func() { _ = f.Close() }() // the connection has a duplicate
	wait := unix.NsecToTimeval(int64(connectTime))
	err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &wait)
	if err == nil {
		err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
	}
	if err == unix.EINTR { // by the runtime, to let another goroutine run
		err = unix.EAGAIN
	}
	if err == nil {
		err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &unix.Timeval{})
	}
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		return nil, fail(err)
	}
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	return c.(*net.UnixConn), nil
}
