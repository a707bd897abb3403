package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
)

// Level is the level of the log, which a running daemon may change.
var Level slog.LevelVar

// Levels are the names of the log levels.
var Levels = []string{"debug", "info", "warn", "error"}

// ParseLevel takes one of Levels.
func ParseLevel(name string) (slog.Level, error) {
	for i, l := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		if name == Levels[i] {
			return l, nil
		}
	}
	return 0, fmt.Errorf("log level %q: use %s", name, strings.Join(Levels, ", "))
}

// newLogHandler logs text. The journal has the time already, and is told each
// line's priority; elsewhere the time of day is enough.
func newLogHandler(w io.Writer) slog.Handler {
	journal := isJournal(w)
	out := &leveledWriter{w: w, journal: journal}
	return &leveledHandler{out, slog.NewTextHandler(out, &slog.HandlerOptions{
		Level: &Level,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) != 0 || a.Key != slog.TimeKey {
				return a
			}
			if journal {
				return slog.Attr{}
			}
			return slog.String(slog.TimeKey, a.Value.Time().Format("15:04:05.000"))
		},
	})}
}

// leveledHandler tells its writer the level of what is about to be written.
type leveledHandler struct {
	out  *leveledWriter
	next slog.Handler
}

// leveledWriter writes one record at a time.
type leveledWriter struct {
	w       io.Writer
	journal bool

	mu    sync.Mutex
	level slog.Level // of the record that is being written
}

func (h *leveledHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

func (h *leveledHandler) Handle(ctx context.Context, r slog.Record) error {
	h.out.mu.Lock()
	defer h.out.mu.Unlock()
	h.out.level = r.Level
	return h.next.Handle(ctx, r)
}

func (h *leveledHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &leveledHandler{h.out, h.next.WithAttrs(attrs)}
}

func (h *leveledHandler) WithGroup(name string) slog.Handler {
	return &leveledHandler{h.out, h.next.WithGroup(name)}
}

// Write is called by the text handler, once a record. mu is held.
func (w *leveledWriter) Write(p []byte) (int, error) {
	if !w.journal {
		return w.w.Write(p)
	}
	if _, err := io.WriteString(w.w, withPriority(w.level, string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}
