package xen

import (
	"sync"
	"time"
)

// closed is the arrow of close: to idle, or to detached.
func (a *attachment) closed() {
	a.step <- struct{}{}
	defer a.leave()
	if a.st != ended {
		a.detach()
		return
	}
	a.st, a.cur = idle, nil
	a.late = time.AfterFunc(a.timing.idle, a.drop)
}

// drop is the arrow from idle to detached.
func (a *attachment) drop() {
	a.step <- struct{}{}
	defer a.leave()
	if a.st == idle {
		a.late.Stop()
		a.detach()
	}
}

// detach gives all of it back, and waits for the watch. In a step.
func (a *attachment) detach() {
	if a.stop != nil {
		a.stop()
		a.watchers.Wait()
	}
	a.dropNext()
	if a.hold != nil {
		a.hold.close()
	}
	a.st, a.hold, a.cur, a.stop = detached, nil, nil, nil
}

// dropNext closes the next channel and takes its path out of xenstore.
func (a *attachment) dropNext() {
	if a.next != nil {
		_ = a.next.Close()
	}
	a.next = nil
}

// conn is a channel that a dial gave.
type conn struct {
	channel
	a    *attachment
	once sync.Once
}

// Close closes the channel, takes its path out of xenstore and waits for the
// watch. After a restore most of this is left to the next channel.
func (c *conn) Close() error {
	c.once.Do(func() {
		_ = c.channel.Close() // fails only if the watch or the peer has ended it already
		c.a.closed()
	})
	return nil
}
