package vchan

import (
	"os"
	"sync/atomic"
	"time"
)

// SetDeadline sets both deadlines; the zero time means none. It works on calls
// under way, too. What passed a deadline gives os.ErrDeadlineExceeded.
func (c *Conn) SetDeadline(t time.Time) error {
	return c.setDeadline(t, &c.rdeadline, &c.wdeadline)
}

// SetReadDeadline sets the deadline of Read.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.setDeadline(t, &c.rdeadline) }

// SetWriteDeadline sets the deadline of Write.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.setDeadline(t, &c.wdeadline) }

func (c *Conn) setDeadline(t time.Time, which ...*atomic.Int64) (err error) {
	old, err := c.enter()
	if err != nil {
		return c.opError("set", err)
	}
	defer c.leave(old, "set", &err)
	var at int64
	if !t.IsZero() {
		at = int64(t.Sub(c.base))
		if at == 0 {
			at = -1 // 0 is none
		}
	}
	for _, d := range which {
		d.Store(at)
	}
	c.wait.mu.Lock()
	defer c.wait.mu.Unlock()
	return c.opError("set", c.rearm())
}

func (c *Conn) now() int64 { return int64(time.Since(c.base)) }

// ready is looked at before anything moves: is the Conn open, the time not up.
func (c *Conn) ready(deadline *atomic.Int64) error {
	if err := c.closedErr(); err != nil {
		return err
	}
	if d := deadline.Load(); d != 0 && c.now() >= d {
		return os.ErrDeadlineExceeded
	}
	return nil
}
