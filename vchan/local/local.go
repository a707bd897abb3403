package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/xentropyd/xentropyd/vchan"
	"github.com/xentropyd/xentropyd/vchan/ring"
)

// DefaultOrders keep a channel in one page. The left ring, from host to guest,
// is the larger one, as entropy flows that way.
var DefaultOrders = ring.Orders{Left: 11, Right: 10}

var (
	// ErrUnsupported is given where the system has no memfd and eventfd.
	ErrUnsupported = errors.New("local vchan needs Linux (memfd, eventfd)")

	// ErrInUse is given by Listen when another process listens on the path.
	ErrInUse = errors.New("another process listens on the socket")
)

// RefusedError is what Offer gives when the host said no.
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

// Peer is who the kernel says is at the other end of the socket (SO_PEERCRED).
type Peer struct {
	PID      int32
	UID, GID uint32
}

// OfferOptions are a guest's wishes; the zero value is good.
type OfferOptions struct {
	Orders ring.Orders // zero: DefaultOrders
}

// ListenOptions are a host's rules; the zero value is good.
type ListenOptions struct {
	// Mode is the socket file's mode; zero means 0660. Who may write to it
	// may connect.
	Mode fs.FileMode

	// MaxOrder is the largest ring order that a guest may bring; zero means 20.
	// One channel maps at most 4096 + 2 * 2^MaxOrder bytes.
	MaxOrder uint16

	// MaxPending is how many guests may be between connect and Accept; zero
	// means 256. When a further one comes, the oldest that has not yet said
	// anything is turned away as busy, of the user who has most of them.
	MaxPending int

	// HandshakeTimeout is how long a guest may take to say what it offers;
	// zero means 5 s.
	HandshakeTimeout time.Duration

	// Refused, if set, is told of each guest that was turned away, and why.
	// It is called from the guest's own handshake goroutine.
	Refused func(Peer, error)
}

// Offer makes a channel of the memory it allocates and brings it to the host
// that listens on path. It returns when the host has taken it: the Conn is a
// vchan server whose client is there. A refusal is a *RefusedError. ctx bounds
// the handshake only.
func Offer(ctx context.Context, path string, opts OfferOptions) (*vchan.Conn, error) {
	if opts.Orders == (ring.Orders{}) {
		opts.Orders = DefaultOrders
	}
	if err := opts.Orders.Check(); err != nil {
		return nil, fmt.Errorf("offer a vchan to %s: %w", path, err)
	}
	return offer(ctx, path, opts)
}

// Listen waits for guests on a Unix socket at path. A socket file that nobody
// listens on is replaced. The directory must exist.
func Listen(path string, opts ListenOptions) (*Listener, error) {
	if opts.Mode == 0 {
		opts.Mode = 0o660
	}
	if opts.MaxOrder == 0 {
		opts.MaxOrder = 20
	}
	if opts.MaxPending <= 0 {
		opts.MaxPending = 256
	}
	if opts.HandshakeTimeout <= 0 {
		opts.HandshakeTimeout = 5 * time.Second
	}
	l, err := listen(path, opts)
	if err != nil {
		return nil, fmt.Errorf("listen for local guests on %s: %w", path, err)
	}
	return l, nil
}
