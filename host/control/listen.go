package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/xentropyd/xentropyd/internal/unixsock"
)

// InUseError says that somebody serves the control socket already. PID is 0 if
// it does not answer as a xentropyd.
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

// socketMode lets the owner and the group connect; what they may do is a matter
// of rights.
const socketMode fs.FileMode = 0o660

// Listen makes the control socket, mode 0660, and its directory, mode 0755. A
// socket file on which nobody listens is replaced; else the error is an
// *[InUseError].
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
	l, file, err := unixsock.ListenNet(path, socketMode)
	if errors.Is(err, unixsock.ErrInUse) {
		ctx, cancel := context.WithTimeout(context.Background(), askTime)
		defer cancel()
		return nil, &InUseError{path, pidOf(ctx, path)}
	}
	if err != nil {
		return nil, err
	}
	return &ownSocket{l, file}, nil
}

// askTime is how long whoever has the socket may take to say who it is.
const askTime = 2 * time.Second

func pidOf(ctx context.Context, path string) int {
	s, err := Dial(path).Status(ctx)
	if err != nil {
		return 0
	}
	return s.PID
}

// ownSocket removes its file on Close unless another daemon has put its own
// there.
type ownSocket struct {
	net.Listener
	file *unixsock.File
}

func (l *ownSocket) Close() error { return errors.Join(l.file.Remove(), l.Listener.Close()) }
