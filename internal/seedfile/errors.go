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
	// ErrInUse says that another process, or another File of this one, holds the lock.
	ErrInUse = errors.New("in use")
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("closed")
)

// RefusedError says that there is a seed but that it must not be used. The remedy is to remove the file, unless
// its owner or mode were changed by mistake: the next Store makes a new one.
type RefusedError struct {
	Path   string
	Reason error  // one of those above, which errors.Is finds
	Detail string // what was found, never a part of the seed; may be empty
}

// Error says what was refused, why, and what to do.
func (e *RefusedError) Error() string {
	detail := ""
	if e.Detail != "" {
		detail = " (" + e.Detail + ")"
	}
	return fmt.Sprintf("refuse seed file %s: %v%s: remove it, a new one will be written", e.Path, e.Reason, detail)
}

// Unwrap returns the reason.
func (e *RefusedError) Unwrap() error { return e.Reason }
