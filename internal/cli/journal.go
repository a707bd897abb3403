package cli

import (
	"io"
	"log/slog"
	"strings"
)

// Priorities as sd-daemon(3) has them, which are syslog(3)'s.
const (
	priorityError   = "<3>"
	priorityWarning = "<4>"
	priorityInfo    = "<6>"
	priorityDebug   = "<7>"
)

func priority(level slog.Level) string {
	switch {
	case level >= slog.LevelError:
		return priorityError
	case level >= slog.LevelWarn:
		return priorityWarning
	case level >= slog.LevelInfo:
		return priorityInfo
	}
	return priorityDebug
}

// withPriority puts a level's priority before each line: the journal takes each
// for a message of its own (sd-daemon(3)).
func withPriority(level slog.Level, text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(priority(level))
		b.WriteString(line)
	}
	return b.String()
}

// Say writes lines of text that are no log records, in one piece. Where w leads
// to the journal it learns their level.
func Say(w io.Writer, level slog.Level, text string) error {
	if isJournal(w) {
		text = withPriority(level, text)
	}
	_, err := io.WriteString(w, text)
	return err
}
