package local

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// pathLimit is the room in sockaddr_un.sun_path less the final zero, unix(7).
const pathLimit = 107

// backlog is asked for; net.core.somaxconn caps it.
const backlog = 4096

// bindSocket makes the socket file and listens. The directory is locked
// meanwhile, so that two starting hosts cannot both take a dead one's place.
func bindSocket(path string, mode fs.FileMode) (l *net.UnixListener, own os.FileInfo, err error) {
	if len(path) > pathLimit {
		return nil, nil, fmt.Errorf("the path has %d bytes, a socket's may have %d: use a shorter one", len(path), pathLimit)
	}
	unlock, err := lockDir(filepath.Dir(path))
	if err != nil {
		return nil, nil, err
	}
	defer unlock()
	if err := clearStale(path); err != nil {
		return nil, nil, err
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make a socket: %w", err)
	}
	f := os.NewFile(uintptr(fd), path)
	defer func() { _ = f.Close() }() // the listener has a duplicate
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return nil, nil, fmt.Errorf("bind the socket: %w", err)
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
	if own, err = os.Lstat(path); err != nil {
		return nil, nil, fmt.Errorf("look at the new socket: %w", err)
	}
	if err := unix.Listen(fd, backlog); err != nil {
		return nil, nil, fmt.Errorf("listen: %w", err)
	}
	nl, err := net.FileListener(f)
	if err != nil {
		return nil, nil, fmt.Errorf("use the socket: %w", err)
	}
	return nl.(*net.UnixListener), own, nil
}

func lockDir(dir string) (unlock func(), err error) {
	d, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the directory %s does not exist: create it, owned by the user that listens: %w", dir, err)
	}
	if err != nil {
		return nil, fmt.Errorf("open the socket's directory: %w", err)
	}
	if err := unix.Flock(int(d.Fd()), unix.LOCK_EX); err != nil {
		_ = d.Close()
		return nil, fmt.Errorf("lock the directory %s: %w", dir, err)
	}
	return func() { _ = d.Close() }, nil
}

// clearStale removes a socket file that nobody listens on.
func clearStale(path string) error {
	st, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for an old socket: %w", err)
	}
	if st.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("there is a file that is not a socket (%v): move it away or choose another path", st.Mode().Type())
	}
	c, err := net.Dial(network, path)
	switch {
	case err == nil:
		_ = c.Close()
		return fmt.Errorf("%w: stop it or choose another path", ErrInUse)
	case !errors.Is(err, unix.ECONNREFUSED):
		return fmt.Errorf("%w, or cannot be asked: %w", ErrInUse, err)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("remove the old socket: %w", err)
	}
	return nil
}

// removeSocket takes the file away unless another host has put its own there.
func removeSocket(path string, own os.FileInfo) error {
	st, err := os.Lstat(path)
	if err != nil || !os.SameFile(st, own) {
		return nil
	}
	return os.Remove(path)
}
