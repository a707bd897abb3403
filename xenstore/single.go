package xenstore

import (
	"errors"
	"fmt"
	"io"
	"time"
)

// Limited is implemented by connections that bear less than a socket does. The
// kernel's device is one, which DialAddress opens; who wraps what DialAddress
// gives passes these methods on.
type Limited interface {
	io.ReadWriteCloser
	// MaxPayload is how many bytes of payload one request may have.
	MaxPayload() int
	// OneAtATime says that a request must not be written before the one before
	// was answered. Watch events may come between.
	OneAtATime() bool
}

// How long a request that nobody waits for any more holds up the next one on a
// connection that bears one at a time (our choice). It is counted in ticks: a
// domain that was paused or restored meanwhile has used up one of them.
const (
	overdueTicks = 30
	overdueTick  = time.Second
)

var errOverdue = errors.New("a request is not answered, and no other can be made before")

// moved says that pending has changed.
func (c *conn) moved() {
	select {
	case c.turn <- struct{}{}:
	default:
	}
}

// answered waits for the reply to a request that was written. A request that
// nobody waits for is waited for all the same, within a bound; false means that
// the connection has ended.
func (c *conn) answered(id uint32) bool {
	var tick <-chan time.Time
	for ticks := 0; ; {
		c.mu.Lock()
		k := c.pending[id]
		overdue := k != nil && k.abandoned
		c.mu.Unlock()
		if k == nil {
			return true // or it has failed, which the next look at the queue shows
		}
		if overdue && tick == nil {
			t := time.NewTicker(overdueTick)
			defer t.Stop()
			tick = t.C
		}
		select {
		case <-c.turn:
		case <-c.done:
			return false
		case <-tick:
			if ticks++; ticks == overdueTicks {
				c.fail(disconnected(fmt.Errorf("%w: %v %s, given up %v ago", errOverdue, k.op, k.path,
					overdueTicks*overdueTick)))
				return false
			}
		}
	}
}
