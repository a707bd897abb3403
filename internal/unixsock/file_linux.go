package unixsock

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

// File is the file of a listening socket.
type File struct {
	path   string
	own    os.FileInfo
	keeper keeper
}

// Listen makes a stream socket at path, mode of its file included, before
// anybody can connect. A socket file that nobody listens on is replaced; the
// directory must exist. It is locked meanwhile, so that two starting processes
// cannot both take a dead one's place. prepare, if not nil, is given the
// descriptor before it listens. The socket is non-blocking; net.FileListener
// makes a net.Listener of it.
func Listen(path string, mode fs.FileMode, prepare func(fd int)) (s *os.File, f *File, err error) {
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
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make a socket: %w", err)
	}
	s = os.NewFile(uintptr(fd), path)
	defer func() {
		if err != nil {
			_ = s.Close()
		}
	}()
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
	own, err := os.Lstat(path)
	if err != nil {
		return nil, nil, fmt.Errorf("look at the new socket: %w", err)
	}
	if prepare != nil {
		prepare(fd)
	}
	if err := unix.Listen(fd, backlog); err != nil {
		return nil, nil, fmt.Errorf("listen: %w", err)
	}
	return s, &File{path: path, own: own}, nil
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
	c, err := net.Dial("unix", path)
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

// Remove takes the file away, unless another process has put its own there, and
// lets nobody be kept out any more.
func (f *File) Remove() error {
	f.keeper.close()
	if !f.ours() {
		return nil
	}
	return os.Remove(f.path)
}

// ours looks at the time too: the number of a file that was removed is soon
// used again.
func (f *File) ours() bool {
	now, err := os.Lstat(f.path)
	return err == nil && os.SameFile(now, f.own) && now.ModTime().Equal(f.own.ModTime())
}
