// Package deadline is the deadline of one direction of a connection that waits
// on channels.
package deadline

import (
	"sync"
	"time"
)

// Deadline is a channel that is closed when a time has passed, and a new one
// when the time is set anew. Its methods may be called from any goroutine; New
// makes one.
type Deadline struct {
	mu     sync.Mutex
	timer  *time.Timer
	passed chan struct{}
}

// New returns a Deadline that is never.
func New() *Deadline { return &Deadline{passed: make(chan struct{})} }

// Set sets the time; the zero time is never.
func (d *Deadline) Set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil && !d.timer.Stop() {
		// It fires or has fired: what it closes is the channel that it was made
		// for.
		d.passed = make(chan struct{})
	}
	d.timer = nil
	select {
	case <-d.passed:
		d.passed = make(chan struct{})
	default:
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

// Passed is the channel to wait on, until the next Set.
func (d *Deadline) Passed() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.passed
}
