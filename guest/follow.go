package guest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"
)

// steady is how long a session must have lasted for the next dial to follow at once (our choice).
const steady = time.Second

// follow connects to the host again and again until ctx ends.
func (g *Guest) follow(ctx context.Context) {
	pause := g.cfg.backoffMin
	for ctx.Err() == nil {
		began := time.Now()
		fed := g.Status().Seeds
		welcomed, err := g.once(ctx)
		if ctx.Err() != nil {
			return
		}
		lasted := welcomed && time.Since(began) >= steady
		if lasted || welcomed && g.Status().Seeds != fed {
			pause = g.cfg.backoffMin
		}
		var retry *retryError
		wait := time.Duration(float64(pause) * (0.5 + rand.Float64())) // spread: not every guest at once
		if lasted {
			wait = 0
		}
		if errors.As(err, &retry) {
			wait = max(wait, min(retry.after, g.cfg.backoffMax))
		}
		g.hostIsAway(err, wait)
		g.update(func(s *Status) { s.Connected, s.LastError = false, err.Error() })
		pause = min(2*pause, g.cfg.backoffMax)
		if wait == 0 {
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
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
	dialling, cancel := ctx, context.CancelFunc(func() {})
	if g.cfg.dialTime > 0 {
		dialling, cancel = context.WithTimeout(ctx, g.cfg.dialTime)
	}
	rw, err := g.dial(dialling)
	cancel()
	if err != nil {
		g.noteRestored(err)
		return false, fmt.Errorf("dial host: %w", err)
	}
	rw = noting{rw, g}
	if g.cfg.version1 {
		err = g.serveV1(ctx, rw)
		return g.Status().Connected, orEOF(err)
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
