package console

import (
	"context"
	"sync"
	"time"
)

// removeTime bounds the removal of nodes when xenstored does not answer.
const removeTime = 10 * time.Second

// withTime is for what must still be done when ctx has ended.
func withTime(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), removeTime)
}

// deadline is one direction's: a channel that is closed when it has passed, and a new one when it is set anew.
type deadline struct {
	mu     sync.Mutex
	timer  *time.Timer
	passed chan struct{}
}

func newDeadline() *deadline { return &deadline{passed: make(chan struct{})} }

func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil && !d.timer.Stop() {
		// It fires or has fired: what it closes is the channel that it was made for.
		d.passed = make(chan struct{})
	}
	d.timer = nil
	if isClosed(d.passed) {
		d.passed = make(chan struct{})
	}
	if t.IsZero() {
		return
	}
	passed := d.passed
	if in := time.Until(t); in > 0 {
		d.timer = time.AfterFunc(in, func() { close(passed) })
	} else {
		close(passed)
	}
}

// wait gives the channel to wait on.
func (d *deadline) wait() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.passed
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
