package source

import (
	"errors"
	"fmt"
	"time"

	"github.com/xentropyd/xentropyd/source/health"
)

// backoff doubles from first to most. It starts over once a source has been
// healthy for as long as the longest wait: one that passes its start-up test
// and soon fails again keeps waiting longer.
type backoff struct {
	first, most, last time.Duration
	since             time.Time // healthy since, or zero
}

func (b *backoff) passed(now time.Time) { b.since = now }

func (b *backoff) failed(now time.Time) time.Duration {
	if !b.since.IsZero() && now.Sub(b.since) >= b.most {
		b.last = 0
	}
	b.since = time.Time{}
	b.last = min(max(2*b.last, b.first), b.most)
	return b.last
}

// enter changes the state and tells about it.
func (w *worker) enter(s State) {
	w.mu.Lock()
	was := w.status.State
	w.status.State, w.status.Healthy, w.status.NextRetry = s, s == StateHealthy, time.Time{}
	w.mu.Unlock()
	if was != s && s == StateHealthy {
		w.h.cfg.log.Info("noise source passed its start-up test", "source", w.info.Name)
	}
	w.tell()
}

func (w *worker) quarantine(err error, wait time.Duration) {
	test := FailureRead
	if f, ok := errors.AsType[*health.Failure](err); ok {
		test = string(f.Test)
	}
	w.mu.Lock()
	w.status.State, w.status.Healthy = StateQuarantined, false
	w.status.Failures[test]++
	w.status.LastError = err.Error()
	w.status.NextRetry = w.h.cfg.clock.Now().Add(wait)
	w.mu.Unlock()
	w.h.cfg.log.Warn("noise source quarantined", "source", w.info.Name, "test", test, "error", err, "retry_in", wait)
	w.tell()
}

func (w *worker) tell() {
	if w.h.cfg.notify != nil {
		w.h.cfg.notify(w.snapshot())
	}
}

// snapshot returns the status now. A source that has not answered for longer
// than the read timeout is not healthy, whatever its last state was.
func (w *worker) snapshot() Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.status.copy()
	if w.spent > 0 {
		s.BytesPerSecond = float64(w.bytes) / w.spent.Seconds()
	}
	if !w.reading.IsZero() && s.Healthy {
		if d := w.h.cfg.clock.Now().Sub(w.reading); d > w.h.cfg.readTimeout {
			s.Healthy = false
			s.LastError = fmt.Sprintf("read source %s: no answer for %v", w.info.Name, d.Round(time.Second))
		}
	}
	return s
}
