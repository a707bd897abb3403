package vchan

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xentropyd/xentropyd/vchan/ring"
)

// Conn is one end of a channel. All methods may be called from any goroutine.
// Reads are served one at a time, and so are writes; a Read and a Write run
// side by side.
//
// A Conn has no goroutine of its own: see wait.go.
type Conn struct {
	ring   *ring.Ring // once it is admitted
	memory Memory
	events Events
	silent bool // Config.Silent

	admitting sync.Mutex
	admit     func() error               // Config.Admit; under admitting
	create    func() (*ring.Ring, error) // the ring, when it is admitted
	admitted  atomic.Bool                // the memory may be touched

	local, remote net.Addr
	base          time.Time // deadlines and clock count from here

	state atomic.Uint32 // users of the memory, and stateClosed
	gone  atomic.Bool   // the peer was once seen to be gone
	ended chan struct{} // closed with the Conn

	rmu, wmu             sync.Mutex   // one reader, one writer
	rspin, wspin         spinner      // under rmu, wmu
	rdeadline, wdeadline atomic.Int64 // ns after base, 0 is none

	wait    waitState
	onSleep atomic.Pointer[onSleep]
}

var _ net.Conn = (*Conn)(nil)

// stateClosed in Conn.state: no new user may enter, the last one out unmaps.
const stateClosed = 1 << 31

// New makes a Conn of what a back end brings. A server formats the page, which
// nobody else may have mapped yet; a client joins it. Both may be left for
// later (see cfg.Admit). Then a client tells the server, unless cfg.Silent.
func New(cfg Config) (*Conn, error) {
	var c *Conn
	err := guarded(func() (err error) {
		c, err = newConn(cfg)
		return err
	})
	if err != nil {
		_ = cfg.Events.Close()
		_ = cfg.Memory.Close()
		return nil, fmt.Errorf("open vchan as %v: %w", cfg.Role, err)
	}
	return c, nil
}

func newConn(cfg Config) (*Conn, error) {
	m := ring.Memory{Page: cfg.Memory.Page(), Left: cfg.Memory.Left(), Right: cfg.Memory.Right()}
	create := func() (*ring.Ring, error) {
		orders := cfg.Orders
		if cfg.Role == ring.Server {
			return ring.Create(m, orders, cfg.Grants)
		}
		if cfg.Admit != nil {
			var err error
			if orders, err = ring.ReadOrders(m.Page); err != nil {
				return nil, err
			}
		}
		return ring.Attach(m, orders)
	}
	c := &Conn{
		admit: cfg.Admit, create: create,
		memory: cfg.Memory, events: cfg.Events, silent: cfg.Silent,
		local: cfg.Local, remote: cfg.Remote, base: time.Now(), ended: make(chan struct{}),
	}
	if c.admit == nil {
		var err error
		if c.ring, err = create(); err != nil {
			return nil, err
		}
		c.admitted.Store(true)
	}
	c.wait.cond.L = &c.wait.mu
	c.rspin = newSpinner(cfg.Spin)
	c.wspin = newSpinner(cfg.Spin)
	if err := cfg.Events.SetWaitDeadline(time.Time{}); err != nil {
		return nil, err
	}
	if cfg.Role == ring.Client && !cfg.Silent {
		if err := cfg.Events.Notify(); err != nil {
			if c.admitted.Load() {
				c.ring.Leave()
			}
			return nil, err
		}
	}
	return c, nil
}

// Read gives what is there, up to len(p) bytes, and waits only if there is
// nothing. When the peer is gone it gives what is left, then io.EOF.
func (c *Conn) Read(p []byte) (n int, err error) {
	c.rmu.Lock()
	defer c.rmu.Unlock()
	old, err := c.enter()
	if err != nil {
		return 0, c.opError("read", err)
	}
	defer c.leave(old, "read", &err)
	n, err = c.read(p)
	return n, c.opError("read", err)
}

// Write sends all of p, or gives an error and how much of p went into the ring.
// What is in the ring need not have been read when Write returns.
func (c *Conn) Write(p []byte) (n int, err error) {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	old, err := c.enter()
	if err != nil {
		return 0, c.opError("write", err)
	}
	defer c.leave(old, "write", &err)
	n, err = c.write(p)
	return n, c.opError("write", err)
}

// Wait returns when the client has come; a client's own Wait returns at once.
// Once the peer is gone it gives ErrPeerGone.
func (c *Conn) Wait(ctx context.Context) (err error) {
	old, err := c.enter()
	if err != nil {
		return c.opError("wait", err)
	}
	defer c.leave(old, "wait", &err)
	stop := context.AfterFunc(ctx, c.kick)
	defer stop()
	for {
		seq := c.wait.seq.Load()
		if err := c.closedErr(); err != nil {
			return c.opError("wait", err)
		}
		here, err := c.open()
		if err != nil {
			return c.opError("wait", err)
		}
		if c.peerGone() {
			return c.opError("wait", ErrPeerGone)
		}
		if here && c.ring.Peer() == ring.Connected {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return c.opError("wait", err)
		}
		c.block(seq, waiting)
	}
}

// Buffered is the number of bytes that can be read at once, 0 on a Conn that
// is closed or corrupt.
func (c *Conn) Buffered() int { return c.level((*ring.Ring).Buffered) }

// Space is the number of bytes that can be written at once, 0 on a Conn that
// is closed or corrupt.
func (c *Conn) Space() int { return c.level((*ring.Ring).Space) }

func (c *Conn) level(of func(*ring.Ring) (int, error)) int {
	old, err := c.enter()
	if err != nil {
		return 0
	}
	defer c.leave(old, "look", &err)
	if !c.admitted.Load() {
		return 0
	}
	n, err := of(c.ring)
	if err != nil {
		c.shutdown(err)
		return 0
	}
	return n
}

// Connected says whether the peer is there now: a client that has come, a
// server that has not gone.
func (c *Conn) Connected() bool {
	old, err := c.enter()
	if err != nil {
		return false
	}
	defer c.leave(old, "look", &err)
	return c.admitted.Load() && !c.peerGone() && c.ring.Peer() == ring.Connected
}

// Close says in the page that we are gone, tells the peer, and makes every
// call under way return net.ErrClosed. What we wrote stays readable for the
// peer. The memory is given back as soon as the last call has left it.
func (c *Conn) Close() error {
	if !c.shutdown(net.ErrClosed) {
		return c.opError("close", net.ErrClosed)
	}
	return nil
}

// HangUp is for back ends: the peer is known to be gone, whatever the page
// says.
func (c *Conn) HangUp() {
	c.gone.Store(true)
	c.kick()
}

// Abort is for back ends: it closes the Conn, and every call gives err.
func (c *Conn) Abort(err error) { c.shutdown(err) }

// LocalAddr is our end, as the back end named it.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr is the other end, as the back end named it.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// enter makes the caller a user of the memory, until leave, which is given what
// enter gave. A fault is a panic meanwhile.
func (c *Conn) enter() (old bool, err error) {
	for {
		s := c.state.Load()
		if s&stateClosed != 0 {
			return false, c.closedErr()
		}
		if c.state.CompareAndSwap(s, s+1) {
			return debug.SetPanicOnFault(true), nil
		}
	}
}

// leave is deferred: it makes of a fault the Conn's end, and the error of the
// caller's op.
func (c *Conn) leave(old bool, op string, err *error) {
	debug.SetPanicOnFault(old)
	if fault := faulted(recover()); fault != nil {
		*err = c.opError(op, c.failed(fault))
	}
	c.exit()
}

func (c *Conn) exit() {
	if c.state.Add(^uint32(0)) == stateClosed {
		_ = c.memory.Close()
	}
}

// closedErr is why the Conn is closed, nil while it is not.
func (c *Conn) closedErr() error {
	if c.state.Load()&stateClosed == 0 {
		return nil
	}
	c.wait.mu.Lock()
	defer c.wait.mu.Unlock()
	return c.wait.err
}

// shutdown closes once, for the reason given; it says whether this was it.
func (c *Conn) shutdown(reason error) bool {
	c.wait.mu.Lock()
	if c.wait.err != nil {
		c.wait.mu.Unlock()
		return false
	}
	c.wait.err = reason
	c.state.Add(1) // a user ourselves, so that the memory stays until we have said goodbye
	c.state.Or(stateClosed)
	c.wait.mu.Unlock()

	close(c.ended)
	if c.admitted.Load() {
		_ = guarded(func() error { c.ring.Leave(); return nil }) // the page may be what is gone
	}
	if !c.silent {
		_ = c.events.Notify() // it may be the peer's tampering that brought us here
	}
	c.kick()
	_ = c.events.Close()
	c.exit()
	return true
}

// open says whether the memory may be touched by now.
func (c *Conn) open() (bool, error) {
	if c.admitted.Load() {
		return true, nil
	}
	err := c.tryAdmit()
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, ErrNotYet):
		return false, nil
	default:
		return false, c.failed(err)
	}
}

// tryAdmit makes the ring once the memory is admitted, and tells the peer.
func (c *Conn) tryAdmit() error {
	c.admitting.Lock()
	defer c.admitting.Unlock()
	if c.admitted.Load() {
		return nil
	}
	if err := c.admit(); err != nil {
		return err
	}
	var err error
	if c.ring, err = c.create(); err != nil {
		return err
	}
	c.admitted.Store(true)
	return c.notify()
}

// peerGone remembers: a peer that once said goodbye does not come back.
func (c *Conn) peerGone() bool {
	if c.gone.Load() {
		return true
	}
	if c.admitted.Load() && c.ring.Peer() == ring.Gone {
		c.gone.Store(true)
		return true
	}
	return false
}

// notify tells the peer; failing that, the channel is over.
func (c *Conn) notify() error {
	err := c.events.Notify()
	if err == nil {
		return nil
	}
	if errors.Is(err, ErrPeerGone) {
		c.HangUp()
		return nil // the next look at the peer says it
	}
	return c.failed(err)
}

// failed closes because of err and gives the reason that stands, which is
// another one if somebody closed before.
func (c *Conn) failed(err error) error {
	c.shutdown(err)
	return c.closedErr()
}
