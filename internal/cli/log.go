package cli

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
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

// newLogHandler logs text. The journal has the time already; elsewhere the time of day is enough.
func newLogHandler(w io.Writer) slog.Handler {
	journal := os.Getenv("JOURNAL_STREAM") != ""
	return slog.NewTextHandler(w, &slog.HandlerOptions{
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
	})
}
