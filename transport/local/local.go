package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/xentropyd/xentropyd/transport"
	"github.com/xentropyd/xentropyd/transport/internal/socket"
	"github.com/xentropyd/xentropyd/vchan"
	"github.com/xentropyd/xentropyd/vchan/ring"
)

const scheme = "local"

// inRuntimeDir is where a daemon listens, below a directory for sockets.
const inRuntimeDir = "/xentropyd/local.sock"

// DefaultSocket is where the system's daemon listens.
const DefaultSocket = "/run" + inRuntimeDir

// Carrier is the vchan between two processes of one machine.
var Carrier = &transport.Carrier{
	Scheme:  scheme,
	Form:    "/PATH/OF/SOCKET",
	Check:   func(path string) (int, string) { return socket.Check(scheme, path) },
	Dial:    func(ctx context.Context, path string) (transport.Conn, error) { return Dialer(path)(ctx) },
	Find:    find,
	Cure:    socket.Cure,
	Listen:  Listen,
	Default: UserSocket,
	File:    func(path string) string { return path },
}

// orNil makes no connection of a nil pointer.
func orNil(c *vchan.Conn, err error) (transport.Conn, error) {
	if err != nil {
		return nil, err
	}
	return c, nil
}

// find gives the system's daemon or, if this user runs one of his own and the
// system does not, that one.
func find(context.Context) (string, error) {
	if _, err := os.Stat(DefaultSocket); err == nil {
		return DefaultSocket, nil
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		own := UserSocket(dir)
		if _, err := os.Stat(own); err == nil {
			return own, nil
		}
	}
	return DefaultSocket, nil
}

// UserSocket is where a user's own daemon listens, with the directory that
// XDG_RUNTIME_DIR names.
func UserSocket(runtimeDir string) string {
	return filepath.Join(runtimeDir, inRuntimeDir)
}

// Orders keep a channel in one page. The right ring, from host to guest, is the
// larger one, as entropy flows that way.
var Orders = ring.Orders{Left: 10, Right: 11}

// ErrUnsupported is given where the system has no memfd.
var ErrUnsupported = errors.New("local vchan needs Linux (memfd)")

// RefusedError is what Dial gives when the host said no.
type RefusedError struct {
	Busy   bool   // trying again later may help
	Reason string // the host's words
}

func (e *RefusedError) Error() string {
	if e.Busy {
		return fmt.Sprintf("the host is busy, try again later: %s", e.Reason)
	}
	return fmt.Sprintf("the host refused the channel: %s", e.Reason)
}

// Dial connects to the host that listens on path, and takes the memory that it
// makes: the Conn is a vchan client. A refusal is a *RefusedError. ctx bounds
// the dialling only. The channel is there when the host first reads, writes or
// waits: until then so does the guest.
func Dial(ctx context.Context, path string) (*vchan.Conn, error) {
	c, err := dial(ctx, path)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, fmt.Errorf("dial a vchan at %s: %w", path, err)
	}
	return c, nil
}

// Dialer dials path.
func Dialer(path string) transport.Dialer {
	return func(ctx context.Context) (transport.Conn, error) { return orNil(Dial(ctx, path)) }
}

// Listen waits for guests on a Unix socket at path: its Accept gives vchan
// servers, each a *vchan.Conn. A socket file that nobody listens on is
// replaced, and its directory made.
func Listen(path string, o transport.ListenOptions) (transport.Listener, error) {
	l, err := listen(path, o)
	if err != nil {
		return nil, err
	}
	return l, nil
}
