package transport

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/xentropyd/xentropyd/internal/peercred"
	"github.com/xentropyd/xentropyd/internal/proc"
	"github.com/xentropyd/xentropyd/vchan"
	"github.com/xentropyd/xentropyd/vchan/local"
)

const localScheme = "local"

// maxSocketPath is the size of sun_path in sockaddr_un less its final zero (unix(7)).
const maxSocketPath = 107

// ErrInUse is wrapped by the error of Listen when another process listens at the address.
var ErrInUse = local.ErrInUse

// localCarrier is the vchan between processes of one machine.
type localCarrier struct{}

func (localCarrier) form() string { return "/PATH/OF/SOCKET" }

func (localCarrier) check(path string) (int, string) {
	switch {
	case strings.HasPrefix(path, "//"):
		return 0, "a path begins with one slash; use local:/run/xentropyd/local.sock"
	case !strings.HasPrefix(path, "/"):
		return 0, "want the absolute path of a Unix socket; use local:/run/xentropyd/local.sock"
	case strings.HasSuffix(path, "/"):
		return len(path) - 1, "this is a directory; name a socket in it"
	case len(path) > maxSocketPath:
		return maxSocketPath, fmt.Sprintf("path of %d bytes; a Unix socket's has at most %d", len(path), maxSocketPath)
	}
	if i := strings.IndexFunc(path, unicode.IsControl); i >= 0 {
		return i, "control character in a path"
	}
	return 0, ""
}

func (localCarrier) dial(ctx context.Context, path string) (Conn, error) {
	c, err := local.Dial(ctx, path)
	if err != nil {
		return nil, err
	}
	return blaming{c}, nil
}

func (localCarrier) listen(path string, opts ListenOptions) (Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("make the socket's directory: %w", err)
	}
	o := local.ListenOptions{Mode: opts.Mode, Rate: opts.Rate, Burst: opts.Burst, Held: opts.Held}
	if opts.Allow != nil {
		o.Allow = func(p local.Peer) bool { return opts.Allow(p.UID, append([]uint32{p.GID}, p.Groups...)) }
	}
	if opts.Refused != nil {
		o.Refused = func(p local.Peer, err error) { opts.Refused(localPeer(p), err) }
	}
	l, err := local.Listen(path, o)
	if err != nil {
		return nil, err
	}
	return &localListener{l, Address{localScheme, path}}, nil
}

type localListener struct {
	l       *local.Listener
	address Address
}

func (l *localListener) Accept() (Conn, Peer, error) {
	c, p, err := l.l.Accept()
	if err != nil {
		return nil, Peer{}, err
	}
	return blaming{c}, localPeer(p), nil
}

func (l *localListener) Close() error     { return l.l.Close() }
func (l *localListener) Address() Address { return l.address }

// localPeer names a process by what the kernel says of it (SO_PEERCRED, unix(7)).
func localPeer(p local.Peer) Peer {
	return Peer{
		ID:      fmt.Sprintf("%s:%d/%s", localScheme, p.UID, proc.ID(int(p.PID))),
		Group:   peercred.UserName(peercred.Owner(p.UID)),
		Name:    proc.Name(int(p.PID)),
		Carrier: localScheme,
	}
}

// blaming is a Conn whose errors say whether the other end broke the ring's rules.
type blaming struct{ *vchan.Conn }

func (c blaming) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	return n, blame(err)
}

func (c blaming) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	return n, blame(err)
}

func blame(err error) error {
	if errors.Is(err, vchan.ErrCorrupt) || errors.Is(err, vchan.ErrViolation) {
		return &hostileError{err}
	}
	return err
}

// hostileError blames the peer.
type hostileError struct{ err error }

func (e *hostileError) Error() string { return e.err.Error() }
func (e *hostileError) Unwrap() error { return e.err }

// Hostile says that the other end broke the carrier's rules.
func (e *hostileError) Hostile() bool { return true }
