package protocol

import (
	"errors"
	"fmt"
)

// Errors a caller may decide on. They come wrapped in an [*Error] that names
// the frame.
var (
	// ErrMalformed says that a frame breaks the format: wrong length, reserved
	// bits, text that is not text.
	ErrMalformed = errors.New("malformed frame")
	// ErrTooLong says that a frame announces more bytes than its direction
	// allows.
	ErrTooLong = errors.New("frame too long")
	// ErrMAC says that a host frame was not made for this session: stale,
	// replayed, reordered or altered.
	ErrMAC = errors.New("wrong message authentication code")
	// ErrSequence says that a seed's sequence number is not the next one.
	ErrSequence = errors.New("sequence number out of order")
	// ErrGeneration says that a seed belongs to a generation that has ended.
	ErrGeneration = errors.New("generation out of order")
	// ErrUnexpected says that a frame may not come now or from this side.
	ErrUnexpected = errors.New("unexpected frame")
	// ErrVersion says that the two sides have no protocol version in common.
	ErrVersion = errors.New("no common protocol version")
)

// Error is a violation of the protocol by the other side. The session cannot go
// on after it.
type Error struct {
	Frame  Type   // the frame's type, 0 where it is not known
	Detail string // what is wrong with it; never holds payload bytes
	Err    error  // one of the sentinel errors above
}

func (e *Error) Error() string {
	if e.Detail == "" {
		return fmt.Sprintf("protocol: %s: %v", e.Frame, e.Err)
	}
	return fmt.Sprintf("protocol: %s: %v: %s", e.Frame, e.Err, e.Detail)
}

func (e *Error) Unwrap() error { return e.Err }

func fail(t Type, err error, format string, args ...any) error {
	return &Error{Frame: t, Err: err, Detail: fmt.Sprintf(format, args...)}
}
