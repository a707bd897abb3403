package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/xentropyd/xentropyd/fortuna"
)

// Our own bounds on how long a SeedStore is waited for: its file system may
// never answer.
const (
	storePatience = 5 * time.Second // while running
	storeGrace    = 2 * time.Second // at the end, for all that is left to do
)

// errNoAnswer says that a SeedStore was not waited for any longer. It is called
// no more until it has answered.
var errNoAnswer = errors.New("no answer; is the file system that it is on alive?")

// keptSeed is the length in bytes of a seed that is kept.
const keptSeed = 64

// keeper loads and stores the kept seed, in a goroutine of its own: there is
// one at a time, and one that does not come back is left behind with what it
// holds, which it wipes. A keeper belongs to one goroutine.
type keeper struct {
	store   SeedStore // nil: none
	fortuna *fortuna.Fortuna
	log     *slog.Logger
	pending chan struct{} // closed when the call that was left has returned; nil: there is none
	failure string        // what was logged and has not gone away, so that it is logged once
}

// load returns the kept seed, which the caller wipes, or nil. What went wrong
// is logged, and err is errNoAnswer if it was that.
func (k *keeper) load(ctx context.Context) (kept []byte, err error) {
	if k.store == nil {
		return nil, nil
	}
	var seed []byte
	var failed error
	err = k.call(ctx, storePatience, func() { seed, failed = k.store.Load() }, func() { clear(seed) })
	switch {
	case err != nil:
		return nil, err
	case errors.Is(failed, fs.ErrNotExist):
		k.log.Info("no seed kept from an earlier run; fresh noise serves alone")
	case failed != nil:
		k.log.Warn("kept seed not used; fresh noise serves alone", "error", failed)
	}
	return seed, nil
}

// keep draws a new seed and stores it.
func (k *keeper) keep(ctx context.Context, patience time.Duration) error {
	if k.store == nil {
		return nil
	}
	var failed error
	err := k.call(ctx, patience, func() {
		seed := make([]byte, keptSeed)
		defer clear(seed)
		if _, failed = k.fortuna.Read(seed); failed != nil {
			failed = fmt.Errorf("draw a seed to keep: %w", failed)
			return
		}
		failed = k.store.Store(seed)
	}, func() {})
	if err != nil {
		return err
	}
	return failed
}

// say logs a failure unless it is the last one's again, and that it has gone.
func (k *keeper) say(err error) {
	switch {
	case err == nil && k.failure != "":
		k.failure = ""
		k.log.Info("a seed is kept for the next start again")
	case err != nil && k.failure != err.Error():
		k.failure = err.Error()
		attributes := []any{"error", err}
		if named, ok := k.store.(interface{ Path() string }); ok && errors.Is(err, errNoAnswer) {
			attributes = append(attributes, "seed_file", named.Path())
		}
		k.log.Error("no seed kept for the next start", attributes...)
	}
}

// call runs f and waits for it for as long as it may take, or until ctx ends;
// then it returns errNoAnswer, and f is f's own: once it has returned, left is
// called. A call that was left is waited for first.
func (k *keeper) call(ctx context.Context, patience time.Duration, f, left func()) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if k.pending != nil {
		select {
		case <-k.pending:
			k.pending = nil
		case <-ctx.Done():
			return errNoAnswer
		}
	}
	answered, leave, returned := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(returned)
		f()
		select {
		case answered <- struct{}{}:
		case <-leave:
			left()
		}
	}()
	select {
	case <-answered:
		<-returned
		return nil
	case <-ctx.Done():
		close(leave)
		k.pending = returned
		return errNoAnswer
	}
}
