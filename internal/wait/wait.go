// Package wait is waiting that a context ends, and how long to wait for the
// next try.
package wait

import (
	"context"
	"time"
)

// For waits so long, or until ctx ends. It says whether it was for so long; a
// time that is not positive is over at once.
func For(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Backoff is a pause that doubles from First to Last. It is for one goroutine.
type Backoff struct {
	First, Last time.Duration
	now         time.Duration
}

// Next is the next pause.
func (b *Backoff) Next() time.Duration {
	b.now = min(max(2*b.now, b.First), b.Last)
	return b.now
}

// Reset begins with First again.
func (b *Backoff) Reset() { b.now = 0 }
