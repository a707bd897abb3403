package cli

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// lateMost is how many records wait at most.
const lateMost = 64

// LateLog is a handler that writes what it is given a while later, with the
// time at which it came: for a program that now and then has no time to lose. A
// warning or an error is written at once, with all that came before it. Close
// writes the rest.
type LateLog struct {
	next slog.Handler
	q    *lateQueue
}

type lateQueue struct {
	lag time.Duration

	mu      sync.Mutex
	waiting []lateRecord
	timer   *time.Timer // nil while nothing waits
}

type lateRecord struct {
	h slog.Handler
	r slog.Record
}

// NewLateLog makes a handler that passes records on to next, at most lag late.
func NewLateLog(next slog.Handler, lag time.Duration) *LateLog {
	return &LateLog{next, &lateQueue{lag: lag}}
}

// Enabled implements [slog.Handler].
func (l *LateLog) Enabled(ctx context.Context, level slog.Level) bool {
	return l.next.Enabled(ctx, level)
}

// Handle implements [slog.Handler]. It fails only where it writes at once.
func (l *LateLog) Handle(_ context.Context, r slog.Record) error {
	q := l.q
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, lateRecord{l.next, r.Clone()})
	if r.Level >= slog.LevelWarn || len(q.waiting) >= lateMost {
		return q.flush()
	}
	if q.timer == nil {
		q.timer = time.AfterFunc(q.lag, func() {
			q.mu.Lock()
			defer q.mu.Unlock()
			_ = q.flush()
		})
	}
	return nil
}

// WithAttrs implements [slog.Handler].
func (l *LateLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &LateLog{l.next.WithAttrs(attrs), l.q}
}

// WithGroup implements [slog.Handler].
func (l *LateLog) WithGroup(name string) slog.Handler { return &LateLog{l.next.WithGroup(name), l.q} }

// Close writes what waits. What is logged afterwards is late again.
func (l *LateLog) Close() error {
	l.q.mu.Lock()
	defer l.q.mu.Unlock()
	return l.q.flush()
}

// flush writes what waits, in the order in which it came. mu is held.
func (q *lateQueue) flush() (err error) {
	if q.timer != nil {
		q.timer.Stop()
		q.timer = nil
	}
	for _, w := range q.waiting {
		err = errors.Join(err, w.h.Handle(context.Background(), w.r))
	}
	clear(q.waiting)
	q.waiting = q.waiting[:0]
	return err
}
