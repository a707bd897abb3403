package console

import (
	"net"
	"os"
	"sync"
	"time"

	"github.com/xentropyd/xentropyd/internal/deadline"
	"github.com/xentropyd/xentropyd/transport/console/ring"
)

// Conn is one connection on a link: from the first byte that the guest wrote
// until somebody has enough. All methods may be called from any goroutine. A
// console knows no end of file: a guest's program that goes is just silent.
type Conn struct {
	link        *Link
	read, write *deadline.Deadline
	once        sync.Once
	closed      chan struct{}

	// As OnSleep was given them; they do nothing before that.
	sleep func(ended <-chan struct{})
	wake  func()
}

// Open begins a connection. What the guest has written is there to be read.
// There should be one at a time.
func (l *Link) Open() *Conn {
	return &Conn{
		link: l, read: deadline.New(), write: deadline.New(), closed: make(chan struct{}),
		sleep: func(<-chan struct{}) {}, wake: func() {},
	}
}

// OnSleep has each Read and Write call sleep before it waits for the guest, and
// wake after that, both in its own goroutine. sleep may take its time, but
// should return when the channel is closed that it is given: the connection is
// then closed, too. OnSleep must be called before the first Read and Write.
func (c *Conn) OnSleep(sleep func(ended <-chan struct{}), wake func()) { c.sleep, c.wake = sleep, wake }

// Read gives what is there, up to len(p) bytes, and waits only if there is
// nothing.
func (c *Conn) Read(p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	c.link.rmu.Lock()
	defer c.link.rmu.Unlock()
	err = c.do("read", c.read, func(r *ring.Ring) (bool, error) {
		n, err = r.Read(p)
		return n > 0, err
	})
	return n, err
}

// Write sends all of p, or gives an error and how much of p went into the ring.
// The guest need not have read it when Write returns.
func (c *Conn) Write(p []byte) (total int, err error) {
	c.link.wmu.Lock()
	defer c.link.wmu.Unlock()
	for total < len(p) && err == nil {
		n := 0
		err = c.do("write", c.write, func(r *ring.Ring) (bool, error) {
			n, err = r.Write(p[total:])
			return n > 0, err
		})
		total += n
	}
	return total, err
}

// do moves something, and waits until that is possible.
func (c *Conn) do(op string, d *deadline.Deadline, move func(*ring.Ring) (bool, error)) error {
	for {
		late := d.Passed()
		switch {
		case isClosed(c.closed):
			return c.opError(op, net.ErrClosed)
		case isClosed(late):
			return c.opError(op, os.ErrDeadlineExceeded)
		}
		changed, err := c.link.arm()
		moved := false
		if err == nil {
			err = c.link.within(func() (err error) { moved, err = move(c.link.ring); return err })
		}
		if err == nil && moved {
			err = c.link.notify()
		}
		if err != nil {
			return c.opError(op, c.link.fail(err))
		}
		if moved {
			return nil
		}
		c.sleep(c.closed)
		select {
		case <-changed:
		case <-late:
		case <-c.closed:
		case <-c.link.life.Done():
		}
		c.wake()
	}
}

// SetReadDeadline is for Read, also the one under way; the zero time is none.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.setDeadline(c.read, t) }

// SetWriteDeadline is for Write, also the one under way; the zero time is none.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.setDeadline(c.write, t) }

func (c *Conn) setDeadline(d *deadline.Deadline, t time.Time) error {
	if isClosed(c.closed) {
		return c.opError("set", net.ErrClosed)
	}
	d.Set(t)
	return nil
}

// Close ends the connection, and not the link: what the guest writes from now
// on is the next connection's.
func (c *Conn) Close() error {
	err := c.opError("close", net.ErrClosed)
	c.once.Do(func() {
		close(c.closed)
		c.read.Set(time.Time{})
		c.write.Set(time.Time{})
		err = nil
	})
	return err
}

// Done is closed when the connection is.
func (c *Conn) Done() <-chan struct{} { return c.closed }

func (c *Conn) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: "xen console", Addr: addr(c.link.name), Err: err}
}

type addr string

func (a addr) Network() string { return "xen console" }
func (a addr) String() string  { return string(a) }

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
