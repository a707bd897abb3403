package seedfile

import (
	"errors"
	"fmt"
)

// Reasons to refuse a seed file, or a seed for it.
var (
	ErrNotRegular  = errors.New("not a regular file")
	ErrOwner       = errors.New("owned by somebody else")
	ErrPermissions = errors.New("open to group or others")
	ErrSize        = errors.New("not 64 bytes long")
	ErrAllZero     = errors.New("all zero")
)

// Other errors that a caller decides on.
var (
	// ErrInUse says that another process, or another File of this one, holds
	// the lock.
	ErrInUse = errors.New("in use")
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("closed")
)

// RefusedError says that what is there must not be used as a seed, or that what
// was given must not be stored as one. What is no regular file or not 64 bytes
// long was no seed: Store leaves it alone, and the remedy is to remove it or to
// name another file. Any other file the next Store replaces.
type RefusedError struct {
	Path   string
	Reason error  // one of those above, which errors.Is finds
	Detail string // what was found, never a part of the seed; may be empty

	given bool // to Store, not found in a file
}

// Error says what was refused, why, and what to do.
func (e *RefusedError) Error() string {
	detail := ""
	if e.Detail != "" {
		detail = " (" + e.Detail + ")"
	}
	switch {
	case e.given:
		return fmt.Sprintf("refuse a seed for %s: %v%s", e.Path, e.Reason, detail)
	case e.Reason == ErrNotRegular, e.Reason == ErrSize:
		return fmt.Sprintf("refuse seed file %s: %v%s: it is no seed and left alone: remove it or name another file",
			e.Path, e.Reason, detail)
	}
	return fmt.Sprintf("refuse seed file %s: %v%s: a new one will be written", e.Path, e.Reason, detail)
}

// Unwrap returns the reason.
func (e *RefusedError) Unwrap() error { return e.Reason }
