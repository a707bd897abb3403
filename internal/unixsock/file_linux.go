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
// directory must exist. It is locked meanwhile, so that two starting processes
// cannot both take a dead one's place. prepare, if not nil, is given the
// descriptor before it listens. The socket is non-blocking; net.FileListener
// makes a net.Listener of it.
func Listen(path string, mode fs.FileMode, prepare func(fd int)) (s *os.File, f *File, err error) {
	if len(path) > pathLimit {
		return nil, nil, fmt.Errorf("socket %s: the path has %d bytes, a socket's may have %d: use a shorter one", path, len(path), pathLimit)
	}
	unlock, err := lockDir(filepath.Dir(path))
	if err != nil {
		return nil, nil, err
	}
	defer unlock()
	if err := clearStale(path); err != nil {
		return nil, nil, err
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
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

// lockTime is how long another daemon may take to start in the same directory.
const lockTime = 2 * time.Second

// lockDir keeps other daemons out of a directory. Whoever may read it may hold
// the lock, so after a while the work is done without.
func lockDir(dir string) (unlock func(), err error) {
	d, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the directory %s does not exist: create it, owned by the user that listens: %w", dir, err)
	}
	if err != nil {
		return nil, fmt.Errorf("open the socket's directory: %w", err)
	}
	for end := time.Now().Add(lockTime); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if !errors.Is(unix.Flock(int(d.Fd()), unix.LOCK_EX|unix.LOCK_NB), unix.EWOULDBLOCK) {
			break
		}
	}
	return func() { _ = d.Close() }, nil
}
