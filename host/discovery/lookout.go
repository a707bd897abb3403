package discovery

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/xentropyd/xentropyd/internal/cputime"
	"github.com/xentropyd/xentropyd/xenstore"
)

// lookout says when something has changed below a path that a guest may write to. A guest that writes without end is
// looked at lookRate times a second, and meanwhile there is no watch: its writes cost us nothing.
type lookout struct {
	C      <-chan struct{} // at the start, and when something may have changed
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

func newLookout(ctx context.Context, store *xenstore.Client, path string) *lookout {
	ctx, cancel := context.WithCancel(cputime.Without(ctx))
	c := make(chan struct{}, 1)
	l := &lookout{C: c, cancel: cancel}
	l.wg.Go(func() {
		pace := rate.NewLimiter(lookRate, lookBurst)
		for retry := (backoff{first: firstRetry, last: lastRetry}); ctx.Err() == nil; {
			if watchOnce(ctx, store, path, c, pace) {
				retry.reset()
				continue
			}
			sleep(ctx, retry.next())
		}
	})
	return l
}

// watchOnce watches until it becomes too much, and waits until it is not any more. It returns false if there is no watch to be had.
func watchOnce(ctx context.Context, store *xenstore.Client, path string, c chan<- struct{}, pace *rate.Limiter) bool {
	w, err := store.Watch(ctx, path)
	if err != nil {
		return false
	}
	defer func() { _ = w.Close() }()
	for {
		if _, err := w.Wait(ctx); err != nil {
			return ctx.Err() != nil
		}
		select {
		case c <- struct{}{}:
		default:
		}
		if !pace.Allow() {
			_ = w.Close()
			_ = pace.WaitN(ctx, lookRate) // a second
			return true
		}
	}
}

func (l *lookout) close() {
	l.cancel()
	l.wg.Wait()
}

// backoff is a delay that doubles.
type backoff struct {
	first, last time.Duration
	now         time.Duration
}

func (b *backoff) next() time.Duration {
	b.now = min(max(2*b.now, b.first), b.last)
	return b.now
}

func (b *backoff) reset() { b.now = 0 }

// sleep returns early, with false, when ctx ends.
func sleep(ctx context.Context, d time.Duration) (slept bool) {
	t := time.NewTimer(d)
	defer t.Stop()
	cputime.Wait(ctx, func() {
		select {
		case <-t.C:
			slept = true
		case <-ctx.Done():
		}
	})
	return slept
}

// wait is pace's Wait.
func wait(ctx context.Context, pace *rate.Limiter) (err error) {
	cputime.Wait(ctx, func() { err = pace.Wait(ctx) })
	return err
}
