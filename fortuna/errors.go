package fortuna

import (
	"errors"
	"fmt"
)

var (
	// ErrNotSeeded is returned by reads before the first seed. Add events or
	// call Reseed, then read again.
	ErrNotSeeded = errors.New("fortuna: not seeded yet: reseed, or add 64 bytes of events to pool 0")

	// ErrClosed is returned by everything but Stats after Close.
	ErrClosed = errors.New("fortuna: closed")

	// ErrStale is wrapped by the error of a read that found a new generation
	// and could not renew the state. Nothing was given; the next read tries
	// again.
	ErrStale = errors.New("fortuna: state may be shared with a clone")
)

// EventError says why AddEvent refused an event. The event was not added, and
// nothing else changed.
type EventError struct {
	Pool int // pool that the caller named, 0 to 31 is valid
	Size int // length of the data in bytes, 1 to 32 is valid
}

// Error names the value that is out of range.
func (e *EventError) Error() string {
	if e.Pool < 0 || e.Pool >= NumPools {
		return fmt.Sprintf("fortuna: add event to pool %d: there are pools 0 to %d", e.Pool, NumPools-1)
	}
	return fmt.Sprintf("fortuna: add event of %d bytes: an event has 1 to %d, split or hash it", e.Size, MaxEvent)
}
