package vchan

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// One event line serves a blocked Read, a blocked Write and any number of
// blocked Waits. Whoever blocks first is the leader and waits on the events;
// the others sleep on cond. Whatever ends the leader's wait wakes them all,
// each looks at what it waits for, and the first to block again leads.
//
//	look --nothing--> lead:   events.Wait --event, deadline, kick--> seq++, wake all --> look
//	              \-> follow: cond.Wait   --woken------------------------------------/
//
// seq is taken before the look, and block returns at once if it has moved: no
// event falls between the look and the sleep. The wait's deadline is the
// earliest one of the sleepers, whoever leads.
type waitState struct {
	mu      sync.Mutex
	cond    sync.Cond
	seq     atomic.Uint32 // written under mu
	leading bool
	asleep  [directions]bool // a Read, a Write: whose deadline counts
	armed   int64            // deadline that events has, as Conn.rdeadline
	err     error            // why the Conn is closed

	progress uint64 // the peer's indices at the last event
	idle     int    // events in a row that changed nothing
}

// direction of a sleeper; waiting is for Wait, which has no deadline.
type direction int

const (
	reading direction = iota
	writing
	directions
	waiting = directions
)

// floodLimit is how many events in a row may change nothing. An honest peer
// sends one for each time that we asked, one when it comes and one when it
// goes.
const floodLimit = 1024

// armedPast marks a deadline that was set to the past in order to wake the
// leader.
const armedPast = -1 << 63

// onSleep is what OnSleep was given.
type onSleep struct {
	sleep func(ended <-chan struct{})
	wake  func()
}

// OnSleep has each Read and Write call sleep before it waits for the peer, and
// wake when it goes on: both in its own goroutine, with no lock of the Conn's
// held. A pair may come without a wait, and several for one; sleep is for
// giving up what should not be held through a wait. sleep may take its time,
// for instance to hold up a peer that causes too much work, but must return
// when the channel is closed that it is given: the Conn is then closed. Nothing
// that the peer does closes it. Wait calls neither function.
func (c *Conn) OnSleep(sleep func(ended <-chan struct{}), wake func()) {
	c.onSleep.Store(&onSleep{sleep, wake})
}

// block sleeps until something may have changed since seq was taken. The
// caller is a user of the memory and has asked the peer to tell.
func (c *Conn) block(seq uint32, d direction) {
	h := c.onSleep.Load()
	if d == waiting {
		h = nil
	}
	if h != nil {
		h.sleep(c.ended)
		defer h.wake()
	}
	w := &c.wait
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.seq.Load() != seq || w.err != nil {
		return
	}
	if d != waiting {
		w.asleep[d] = true
		defer func() { w.asleep[d] = false }()
	}
	if w.leading {
		if err := c.rearm(); err != nil {
			c.failLocked(err)
			return
		}
		w.cond.Wait()
		return
	}
	if err := c.arm(); err != nil {
		c.failLocked(err)
		return
	}
	w.leading = true
	w.mu.Unlock()
	err := c.events.Wait()
	if u, ok := c.events.(Unmasker); ok && err == nil {
		if h != nil {
			h.wake()
		}
		err = u.Unmask()
	}
	w.mu.Lock()
	w.leading = false
	w.seq.Add(1)
	w.cond.Broadcast()
	switch {
	case err == nil:
		err = c.flooded()
		if err != nil {
			c.failLocked(err)
		}
	case errors.Is(err, os.ErrDeadlineExceeded):
	case errors.Is(err, ErrPeerGone):
		c.gone.Store(true)
	case w.err == nil: // and not the echo of a Close
		c.failLocked(err)
	}
}

// failLocked is shutdown for a holder of mu.
func (c *Conn) failLocked(err error) {
	c.wait.mu.Unlock()
	c.shutdown(err)
	c.wait.mu.Lock()
}

// earliest is the first deadline of those who sleep, 0 for none.
func (c *Conn) earliest() (at int64) {
	if c.wait.asleep[reading] {
		at = c.rdeadline.Load()
	}
	if c.wait.asleep[writing] {
		if d := c.wdeadline.Load(); at == 0 || d != 0 && d < at {
			at = d
		}
	}
	return at
}

// rearm is for a deadline that was changed, or came with a follower: the wait
// under way must not go on beyond it. If it ends too early, no harm is done.
func (c *Conn) rearm() error {
	w := &c.wait
	if at := c.earliest(); w.leading && w.err == nil && at != 0 && (w.armed == 0 || at < w.armed) {
		return c.arm()
	}
	return nil
}

// arm sets the deadline of the coming wait.
func (c *Conn) arm() error {
	at := c.earliest()
	if at == c.wait.armed {
		return nil
	}
	c.wait.armed = at
	var t time.Time
	if at != 0 {
		t = c.base.Add(time.Duration(at))
	}
	return c.events.SetWaitDeadline(t)
}

// kick wakes everybody who sleeps.
func (c *Conn) kick() {
	w := &c.wait
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seq.Add(1)
	w.cond.Broadcast()
	if w.leading {
		w.armed = armedPast
		_ = c.events.SetWaitDeadline(time.Unix(1, 0))
	}
}

// flooded counts the events that changed nothing.
func (c *Conn) flooded() error {
	w := &c.wait
	if !c.admitted.Load() {
		return nil // Admit is asked now
	}
	if p := c.ring.Progress(); p != w.progress {
		w.progress, w.idle = p, 0
		return nil
	}
	if w.idle++; w.idle > floodLimit {
		return fmt.Errorf("%w: %d events in a row without a byte moved", ErrViolation, w.idle)
	}
	return nil
}
