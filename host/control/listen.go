package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/xentropyd/xentropyd/internal/sockfile"
)

// InUseError says that somebody serves the control socket already. PID is 0 if it does not answer as a xentropyd.
type InUseError struct {
	Path string
	PID  int
}

func (e *InUseError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("another process listens on the control socket %s", e.Path)
	}
	return fmt.Sprintf("another xentropyd is running, pid %d, with the control socket %s", e.PID, e.Path)
}

// socketMode lets the owner and the group connect; what they may do is a matter of rights.
const socketMode fs.FileMode = 0o660

// Listen makes the control socket, mode 0660, and its directory, mode 0755. A socket file on which nobody listens is
// replaced; else the error is an *[InUseError].
func Listen(path string) (net.Listener, error) {
	l, err := listen(path)
	if err != nil {
		return nil, fmt.Errorf("open control socket: %w", err)
	}
	return l, nil
}

func listen(path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("make its directory: %w", err)
	}
	defer sockfile.Lock(filepath.Dir(path))() // so that two that start do not take each other's for stale
	if err := removeStale(path); err != nil {
		return nil, err
	}
	l, own, err := sockfile.Listen(path, socketMode)
	if errors.Is(err, syscall.EADDRINUSE) { // another one was faster
		return nil, &InUseError{Path: path}
	}
	if err != nil {
		return nil, err
	}
	return &ownSocket{l, path, own}, nil
}

// removeStale removes what a daemon left behind that was killed.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is there and is no socket: remove it or choose another path", path)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		c.Close()
		return &InUseError{path, pidOf(ctx, path)}
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, fs.ErrNotExist):
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	return fmt.Errorf("find out whether another xentropyd is running: %w", err)
}

func pidOf(ctx context.Context, path string) int {
	s, err := Dial(path).Status(ctx)
	if err != nil {
		return 0
	}
	return s.PID
}

// ownSocket removes its file on Close unless another daemon has put its own there.
type ownSocket struct {
	*net.UnixListener
	path string
	own  fs.FileInfo
}

func (l *ownSocket) Close() error {
	if now, err := os.Lstat(l.path); err == nil && os.SameFile(l.own, now) {
		os.Remove(l.path)
	}
	return l.UnixListener.Close()
}
