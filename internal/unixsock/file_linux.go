package unixsock

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// pathLimit is the room in sockaddr_un.sun_path less the final zero, unix(7).
const pathLimit = 107

// Listen makes a stream socket at path, mode of its file included, before
// anybody can connect. A socket file that nobody listens on is replaced; the
// directory must exist. Two starting processes cannot both take a dead one's
// place. prepare, if not nil, is given the
// descriptor before it listens. The socket is a blocking one, to be used with
// [Accept]; net.FileListener makes a net.Listener of it.
func Listen(path string, mode fs.FileMode, prepare func(fd int)) (s *os.File, f *File, err error) {
	if len(path) > pathLimit {
		return nil, nil, fmt.Errorf("socket %s: the path has %d bytes, a socket's may have %d: use a shorter one",
			path, len(path), pathLimit)
	}
	unlock, err := lock(path)
	if err != nil {
		return nil, nil, err
	}
	defer unlock()
	if err := clearStale(path); err != nil {
		return nil, nil, err
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make a socket for %s: %w", path, err)
	}
	s = os.NewFile(uintptr(fd), path)
	defer func() {
		if err != nil {
			_ = s.Close()
		}
	}()
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return nil, nil, fmt.Errorf("bind the socket %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(path)
		}
	}()
	// Before listen: nobody can connect under the umask's mode.
	if err := os.Chmod(path, mode.Perm()); err != nil {
		return nil, nil, fmt.Errorf("set the socket's mode: %w", err)
	}
	own, err := os.Lstat(path)
	if err != nil {
		return nil, nil, fmt.Errorf("look at the new socket: %w", err) // it names the path, as all of package os does
	}
	if prepare != nil {
		prepare(fd)
	}
	if err := unix.Listen(fd, Backlog); err != nil {
		return nil, nil, fmt.Errorf("listen on the socket %s: %w", path, err)
	}
	return s, &File{path: path, own: own}, nil
}

// ListenNet is Listen for a net.Listener.
func ListenNet(path string, mode fs.FileMode) (net.Listener, *File, error) {
	s, f, err := Listen(path, mode, nil)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = s.Close() }() // the listener has a duplicate
	l, err := net.FileListener(s)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("use the socket %s: %w", path, err), f.Remove())
	}
	return l, f, nil
}

// Accept takes the next connection, a non-blocking one, from a socket of
// Listen's. It waits in a thread of its own: in the runtime's poller each
// connection would wake a thread, also while nobody wants one. Once the socket
// is shut down it gives net.ErrClosed.
func Accept(s *os.File) (fd int, err error) {
	for {
		fd, _, err := unix.Accept4(int(s.Fd()), unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
		switch err {
		case nil:
			return fd, nil
		case unix.EINTR, unix.ECONNABORTED:
		case unix.EINVAL:
			return -1, net.ErrClosed
		default:
			return -1, err
		}
	}
}

// lockTime is how long another daemon may take to start with the same socket.
const lockTime = 2 * time.Second

// lock keeps other daemons out while this one looks whether a socket file is a
// dead one's and makes its own. The lock is on a file of its own: the
// directory's could be held by whoever may read that. Where it is not to be had
// in time the work is done without.
func lock(path string) (unlock func(), err error) {
	for end := time.Now().Add(lockTime); ; time.Sleep(5 * time.Millisecond) {
		f, err := os.OpenFile(lockName(path), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
		if errors.Is(err, fs.ErrNotExist) {
			dir := filepath.Dir(path)
			return nil, fmt.Errorf("the directory %s does not exist: create it, owned by the user that listens: %w",
				dir, err)
		}
		if err != nil {
			return nil, fmt.Errorf("lock the socket file %s: %w", path, err)
		}
		locked := !errors.Is(unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB), unix.EWOULDBLOCK)
		if locked && isStill(f, lockName(path)) || time.Now().After(end) {
			return func() { _ = f.Close() }, nil
		}
		_ = f.Close()
	}
}

// isStill says whether a file has a name still: who ends removes it.
func isStill(f *os.File, name string) bool {
	have, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(name)
	return err == nil && os.SameFile(have, there)
}
