package sockfile

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// listen sets the mode between bind and listen: until then the kernel refuses whoever connects.
func listen(path string, mode fs.FileMode) (_ *net.UnixListener, _ fs.FileInfo, err error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make a socket: %w", err)
	}
	f := os.NewFile(uintptr(fd), path)
	defer func() { _ = f.Close() }() // the listener has a duplicate
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return nil, nil, fmt.Errorf("bind the socket to %s: %w", path, err)
	}
	own, err := setUp(path, mode)
	if err != nil {
		return nil, nil, fmt.Errorf("set the mode of %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(path))
		}
	}()
	if err = unix.Listen(fd, Backlog); err != nil {
		return nil, nil, fmt.Errorf("listen at %s: %w", path, err)
	}
	l, err := net.FileListener(f)
	if err != nil {
		return nil, nil, fmt.Errorf("use the socket at %s: %w", path, err)
	}
	return l.(*net.UnixListener), own, nil
}

// lockTime is how long another daemon may take to start in the same directory.
const lockTime = 2 * time.Second

// Lock keeps other daemons out of a directory while one looks whether a socket file is a dead one's and makes its own. Whoever may read the
// directory may hold this lock, so after two seconds the work is done without.
func Lock(dir string) (unlock func()) {
	d, err := os.Open(dir)
	if err != nil {
		return func() {}
	}
	for end := time.Now().Add(lockTime); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if !errors.Is(unix.Flock(int(d.Fd()), unix.LOCK_EX|unix.LOCK_NB), unix.EWOULDBLOCK) {
			break
		}
	}
	return func() { _ = d.Close() }
}
