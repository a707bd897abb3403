package console

import (
	"errors"
	"fmt"
)

var (
	// ErrGone is a domain that has no nodes, or no longer.
	ErrGone = errors.New("the domain is gone")

	// ErrNoSlot is a domain in which all consoles that Linux can have are
	// taken.
	ErrNoSlot = fmt.Errorf("consoles %d to %d are all in use", firstSlot, lastSlot)

	// ErrTaken is a front end that is not ours any more: the toolstack or the
	// guest put something else there, or removed it.
	ErrTaken = errors.New("the console's front end was removed or replaced")
)

// ErrFlood is a guest that sends events without end and moves nothing.
var ErrFlood error = violation("the guest floods its console with events")

// violation is an error that blames the guest.
type violation string

func (v violation) Error() string { return string(v) }

// Hostile says that the guest broke the rules.
func (violation) Hostile() bool { return true }
