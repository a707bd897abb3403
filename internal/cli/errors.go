package cli

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

type hintError struct {
	err  error
	hint string
}

func (e *hintError) Error() string { return e.err.Error() }
func (e *hintError) Unwrap() error { return e.err }

// WithHint adds to an error what the user can do about it; it is printed on a
// line of its own.
func WithHint(err error, hint string) error {
	if err == nil {
		return nil
	}
	return &hintError{err, hint}
}

// Hint returns what WithHint added, or "".
func Hint(err error) string {
	if h, ok := errors.AsType[*hintError](err); ok {
		return h.hint
	}
	return ""
}

type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// Usage marks an error as one of the command line: the exit status is then
// ExitUsage.
func Usage(err error) error {
	if err == nil {
		return nil
	}
	return &usageError{err}
}

// quietError is not printed.
type quietError struct{ status int }

func (e *quietError) Error() string { return fmt.Sprintf("exit status %d", e.status) }

// Quiet ends the command with an exit status and prints nothing: what there is
// to say was said. For [ExitOK] it is nil.
func Quiet(status int) error {
	if status == ExitOK {
		return nil
	}
	return &quietError{status}
}

// report prints an error and returns the exit status that belongs to it.
func report(w io.Writer, name string, err error) int {
	if err == nil {
		return ExitOK
	}
	if e, ok := errors.AsType[*quietError](err); ok {
		return e.status
	}
	text := fmt.Sprintf("%s: %s\n", name, oneLine(err.Error()))
	if hint := Hint(err); hint != "" {
		text += fmt.Sprintf("hint: %s\n", oneLine(hint))
	}
	_ = Say(w, slog.LevelError, text)
	if _, ok := errors.AsType[*usageError](err); ok {
		return ExitUsage
	}
	return ExitFailure
}

// oneLine joins the lines of a text, as errors.Join and cobra make them.
func oneLine(s string) string {
	lines := strings.FieldsFunc(s, func(r rune) bool { return r == '\n' })
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return Printable(strings.Join(lines, "; "))
}
