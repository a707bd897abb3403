package vchan

import (
	"errors"
	"io"
	"net"

	"github.com/xentropyd/xentropyd/vchan/ring"
)

var (
	// ErrPeerGone is what a Write gives when the other end has closed or died.
	ErrPeerGone = errors.New("the other end of the vchan is gone")

	// ErrCorrupt is a peer that wrote impossible indices. The Conn is then
	// closed and every operation gives the same error.
	ErrCorrupt = ring.ErrCorrupt

	// ErrViolation is a peer that breaks the rules of the events: it floods
	// us with them, or tampers with what they travel through. The Conn is
	// then closed and every operation gives the same error.
	ErrViolation error = violation("the vchan peer broke the rules")

	// ErrNotYet is for back ends: see Config.Admit.
	ErrNotYet = errors.New("the vchan peer is not ready yet")

	// ErrFault is shared memory that could not be read or written. The Conn
	// is then closed and every operation gives the same error.
	ErrFault = errors.New("the vchan's memory is gone")
)

// violation is an error that blames the peer.
type violation string

func (v violation) Error() string { return string(v) }

// Hostile says that the peer broke the rules.
func (violation) Hostile() bool { return true }

// opError is the one constructor of what the methods of Conn return.
func (c *Conn) opError(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: "vchan", Source: c.local, Addr: c.remote, Err: err}
}
