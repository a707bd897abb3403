package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/xentropyd/xentropyd/internal/peercred"
	"github.com/xentropyd/xentropyd/internal/unixsock"
	"github.com/xentropyd/xentropyd/vchan"
	"github.com/xentropyd/xentropyd/vchan/ring"
)

// Orders keep a channel in one page. The right ring, from host to guest, is the
// larger one, as entropy flows that way.
var Orders = ring.Orders{Left: 10, Right: 11}

// Our own choices of how often one user may connect: see ListenOptions.
const (
	DefaultRate  = 100
	DefaultBurst = 128
)

// DefaultHeld is how many channels' memory one user may have, of those that are
// over included.
const DefaultHeld = 256

var (
	// ErrUnsupported is given where the system has no memfd.
	ErrUnsupported = errors.New("local vchan needs Linux (memfd)")

	// ErrInUse is given by Listen when another process listens on the path.
	ErrInUse = unixsock.ErrInUse

	// ErrTooFast is why a user is turned away who connects too often, or of whose
	// channels one was found to keep the host busy for nothing.
	ErrTooFast = errors.New("this user connects too often or keeps the host busy for nothing")

	// ErrNotAllowed is why a user is turned away who may not be a guest.
	ErrNotAllowed = errors.New("this user may not be a guest here")
)

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

// Peer is who the kernel says is at the other end of the socket; with its groups
// where there is a ListenOptions.Allow.
type Peer = peercred.Creds

// ListenOptions are a host's rules; the zero value is good.
type ListenOptions struct {
	// Mode is the socket file's mode; zero means 0660. Who may write to it
	// may connect.
	Mode fs.FileMode

	// Rate is how many times a second the processes of one user, sub-uids
	// included, may connect, and Burst how many times at once; zero means DefaultRate and
	// DefaultBurst. Who goes on beyond that is kept out of the socket file for
	// ten seconds, where its file system has access control lists.
	Rate  float64
	Burst int

	// Held is how many channels' memory the processes of one user may have,
	// that of channels that are over included, until nobody has it mapped or
	// its descriptor any more; zero means DefaultHeld. A low RLIMIT_NOFILE
	// lowers it, to a quarter at least: so many may live at a time.
	Held int

	// Allow, if set, says who may be a guest.
	Allow func(Peer) bool

	// Refused, if set, is told who was turned away, and why, of each user once
	// a second at most. It is called by Accept.
	Refused func(Peer, error)
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

// Listen waits for guests on a Unix socket at path. A socket file that nobody
// listens on is replaced. The directory must exist.
func Listen(path string, opts ListenOptions) (*Listener, error) {
	if opts.Mode == 0 {
		opts.Mode = 0o660
	}
	if opts.Rate <= 0 {
		opts.Rate = DefaultRate
	}
	if opts.Burst <= 0 {
		opts.Burst = DefaultBurst
	}
	if opts.Held <= 0 {
		opts.Held = DefaultHeld
	}
	l, err := listen(path, opts)
	if err != nil {
		return nil, fmt.Errorf("listen for local guests on %s: %w", path, err)
	}
	return l, nil
}
