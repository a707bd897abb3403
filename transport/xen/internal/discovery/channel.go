package discovery

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xentropyd/xentropyd/transport"
)

// Names of the carriers, as in transport.Peer.
const (
	vchanCarrier   = "vchan"
	consoleCarrier = "console"
)

// carrierChannel is what the host's sessions need of a carrier.
type carrierChannel interface {
	transport.Conn
	transport.Sleeper
}

// channel knows when the host has done with it.
type channel struct {
	carrierChannel
	once sync.Once
	done chan struct{}
	err  error
	why  atomic.Pointer[error] // we ended it, for this
}

func newChannel(c carrierChannel) *channel {
	return &channel{carrierChannel: c, done: make(chan struct{})}
}

// end is Close for a reason, which the host's calls then give.
func (c *channel) end(why error) {
	c.why.Store(&why)
	_ = c.Close()
}

func (c *channel) Read(p []byte) (int, error) {
	n, err := c.carrierChannel.Read(p)
	return n, c.explain(err)
}

func (c *channel) Write(p []byte) (int, error) {
	n, err := c.carrierChannel.Write(p)
	return n, c.explain(err)
}

// explain gives the reason for a channel's being closed.
func (c *channel) explain(err error) error {
	if why := c.why.Load(); why != nil && errors.Is(err, net.ErrClosed) {
		return *why
	}
	return err
}

// Close ends the channel; more than once is no error.
func (c *channel) Close() error {
	c.once.Do(func() {
		c.err = c.carrierChannel.Close()
		close(c.done)
	})
	return c.err
}

// give hands a channel to the host and returns when it is closed, by the host
// or because ctx has ended.
func (d *Discovery) give(ctx context.Context, ch carrierChannel, peer transport.Peer) {
	c := newChannel(ch)
	defer func() { _ = c.Close() }()
	select {
	case d.arrivals <- arrival{c, peer}:
	case <-ctx.Done():
		return
	}
	select {
	case <-c.done:
		return
	case <-ctx.Done():
	}
	why := context.Cause(ctx)
	// Else at once: what is mapped holds a dead domain, or is none of the
	// guest's any more.
	if why != errDenied && !errors.Is(why, net.ErrClosed) {
		c.end(why)
		return
	}
	t := time.NewTimer(goodbyeTime)
	defer t.Stop()
	select { // the host may be saying goodbye
	case <-c.done:
	case <-t.C:
	}
}
