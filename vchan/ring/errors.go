package ring

import (
	"errors"
	"fmt"
)

var (
	// ErrCorrupt is what every [CorruptError] is to errors.Is.
	ErrCorrupt = errors.New("vchan ring corrupted by the peer")

	// ErrLayout is a page, a pair of orders or a piece of memory that
	// cannot be a vchan.
	ErrLayout = errors.New("not a valid vchan layout")

	// ErrByteOrder is given on big-endian machines.
	ErrByteOrder = errors.New("vchan needs a little-endian machine")
)

// CorruptError says what rule the peer broke. It is sticky: once met, every
// later operation on the same Ring gives the same error.
type CorruptError struct {
	Index string // the index that the peer wrote: "prod" or "cons"
	Theirs, Ours,
	Size uint32 // ring size, bytes
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("%v: its %s is %#x where ours is %#x and the ring has %d bytes; close the channel",
		ErrCorrupt, e.Index, e.Theirs, e.Ours, e.Size)
}

// Hostile says that the peer broke the rules.
func (e *CorruptError) Hostile() bool { return true }

// Is makes errors.Is(err, ErrCorrupt) true.
func (e *CorruptError) Is(target error) bool { return target == ErrCorrupt }

func layoutError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrLayout, fmt.Sprintf(format, args...))
}
