package source

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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
	w.status.State, w.status.Healthy, w.retryAt = s, s == StateHealthy, time.Time{}
	w.mu.Unlock()
	if was != s && s == StateHealthy {
		w.h.cfg.log.Info("noise source passed its start-up test", "source", w.info.Name)
	}
	w.tell()
}

// present is called when the source answered: one that was absent is here now,
// and what it says of itself may be another thing.
func (w *worker) present() {
	info := w.src.Info()
	w.mu.Lock()
	was, found := w.status.Description, w.status.State == StateAbsent
	w.status.Description = info.Description
	w.mu.Unlock()
	w.info.Description = info.Description
	if found {
		w.h.cfg.log.Info("noise source found", "source", w.info.Name, "is", info.Description)
		w.enter(StateStarting)
	} else if was != info.Description {
		w.h.cfg.log.Info("noise source in use", "source", w.info.Name, "is", info.Description)
	}
}

// absent notes that the source is not here, and says it when that is new.
func (w *worker) absent(err error, wait time.Duration) {
	w.mu.Lock()
	was := w.status.State
	w.status.State, w.status.Healthy, w.status.LastError = StateAbsent, false, err.Error()
	w.mu.Unlock()
	w.retryIn(wait)
	switch was {
	case StateAbsent:
		return
	case StateHealthy:
		w.h.cfg.log.Warn("noise source is gone; it is looked for again", "source", w.info.Name, "reason", err)
	default:
		w.h.cfg.log.Info("noise source is not here; it is looked for again", "source", w.info.Name, "reason", err)
	}
	w.tell()
}

// quarantine notes a failure. It warns of each kind once until the source is
// healthy again: one that is broken for good fails at each try.
func (w *worker) quarantine(err error, wait time.Duration) {
	name := failureName(err)
	w.mu.Lock()
	w.status.State, w.status.Healthy = StateQuarantined, false
	w.status.Failures[name]++
	w.status.LastError = err.Error()
	w.mu.Unlock()
	if w.late == nil {
		w.retryIn(wait)
	}
	level := slog.LevelWarn
	if w.warned == name {
		level = slog.LevelDebug
	}
	w.warned = name
	w.h.cfg.log.Log(context.Background(), level, "noise source quarantined",
		"source", w.info.Name, "test", name, "error", err, "retry_in", wait)
	w.tell()
}

// failureName is the key under which an error is counted.
func failureName(err error) string {
	if f, ok := errors.AsType[*health.Failure](err); ok {
		return string(f.Test)
	}
	if f, ok := errors.AsType[*WordError](err); ok {
		return f.failure()
	}
	return FailureRead
}

// retryIn notes when the source is tried again; 0 says that nobody knows.
func (w *worker) retryIn(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.retryAt = time.Time{}
	if d > 0 {
		w.retryAt = time.Now().Add(d)
	}
}

func (w *worker) tell() {
	if w.h.cfg.notify != nil {
		w.h.cfg.notify(w.snapshot())
	}
}

// snapshot returns the status now. A source that has not answered for longer
// than the read timeout is in quarantine, also before its worker has noticed.
func (w *worker) snapshot() Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	s := w.status.copy()
	if w.spent > 0 {
		s.BytesPerSecond = float64(w.bytes) / w.spent.Seconds()
	}
	if !w.retryAt.IsZero() {
		s.RetryIn = max(0, w.retryAt.Sub(now).Round(time.Millisecond).Seconds())
	}
	if !w.reading.IsZero() {
		if d := now.Sub(w.reading); d > w.h.cfg.readTimeout {
			s.State, s.Healthy = StateQuarantined, false
			s.LastError = fmt.Sprintf("read source %s: %s", w.info.Name, noAnswer(d))
		}
	}
	return s
}
