package discovery

import (
	"context"
	"sync"

	"golang.org/x/time/rate"

	"github.com/xentropyd/xentropyd/internal/wait"
	"github.com/xentropyd/xentropyd/xenstore"
)

// changes says when something has changed below a path that a guest may write
// to. A guest that writes without end is looked at lookRate times a second, and
// meanwhile there is no watch: its writes cost us nothing.
type changes struct {
	C      <-chan struct{} // at the start, and when something may have changed
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

func newChanges(ctx context.Context, store *xenstore.Client, path string) *changes {
	ctx, cancel := context.WithCancel(ctx)
	c := make(chan struct{}, 1)
	l := &changes{C: c, cancel: cancel}
	l.wg.Go(func() {
		looks := rate.NewLimiter(lookRate, lookBurst)
		for retry := (wait.Backoff{First: firstRetry, Last: lastRetry}); ctx.Err() == nil; {
			if watchOnce(ctx, store, path, c, looks) {
				retry.Reset()
				continue
			}
			wait.For(ctx, retry.Next())
		}
	})
	return l
}

// watchOnce watches until it becomes too much, and waits until it is not any
// more. It returns false if there is no watch to be had.
func watchOnce(ctx context.Context, store *xenstore.Client, path string, c chan<- struct{}, looks *rate.Limiter) bool {
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
		if !looks.Allow() {
			_ = w.Close()
			_ = looks.WaitN(ctx, lookRate) // a second
			return true
		}
	}
}

func (l *changes) close() {
	l.cancel()
	l.wg.Wait()
}
