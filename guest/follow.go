package guest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/xentropyd/xentropyd/internal/wait"
)

// steady is how long a session must have lasted for the next dial to follow at
// once (our choice).
const steady = time.Second

// follow connects to the host again and again until ctx ends.
func (g *Guest) follow(ctx context.Context) {
	pause := wait.Backoff{First: minPause, Last: g.opts.MaxPause}
	for ctx.Err() == nil {
		began := time.Now()
		before := g.Status().Host.Seeds
		welcomed, err := g.once(ctx)
		if ctx.Err() != nil {
			return
		}
		lasted := welcomed && time.Since(began) >= steady
		if lasted || welcomed && g.Status().Host.Seeds != before {
			pause.Reset()
		}
		next := time.Duration(float64(pause.Next()) * (0.5 + rand.Float64())) // spread: not every guest at once
		if lasted {
			next = 0
		}
		if retry, ok := errors.AsType[*retryError](err); ok {
			next = max(next, min(retry.after, g.opts.MaxPause))
		}
		g.hostIsAway(err, next)
		g.update(func(s *Status) { s.Host.Connected, s.Host.LastError = false, err.Error() })
		wait.For(ctx, next)
	}
}

// retryError ends a session after which dialling at once would be of no use.
type retryError struct {
	after time.Duration
	err   error
}

func (e *retryError) Error() string { return e.err.Error() }
func (e *retryError) Unwrap() error { return e.err }

// once dials and serves one session. The error is never nil.
func (g *Guest) once(ctx context.Context) (welcomed bool, err error) {
	rw, err := g.dial(ctx)
	if err != nil {
		g.noteRestored(err)
		return false, fmt.Errorf("dial host: %w", err)
	}
	rw = restoredReader{rw, g}
	if g.opts.Protocol1 {
		err = g.serveV1(ctx, rw)
		return g.Status().Host.Connected, orEOF(err)
	}
	s := newSession(g, rw)
	err = s.run(ctx)
	return s.welcomed, orEOF(err)
}

func orEOF(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return errors.New("host closed the channel")
	}
	return err
}
