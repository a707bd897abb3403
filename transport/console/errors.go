package console

import (
	"errors"
	"fmt"

	"github.com/xentropyd/xentropyd/transport/console/ring"
	"github.com/xentropyd/xentropyd/xenstore"
)

var (
	// ErrGone is a domain that has no nodes, or no longer.
	ErrGone = errors.New("the domain is gone")

	// ErrNoSlot is a domain in which all consoles that Linux can have are taken.
	ErrNoSlot = fmt.Errorf("consoles %d to %d are all in use", firstSlot, lastSlot)

	// ErrTaken is a front end that is not ours any more: the toolstack or the guest put something else there, or removed it.
	ErrTaken = errors.New("the console's front end was removed or replaced")
)

// NodeError is a node of the front end that cannot be what it should be.
type NodeError struct {
	Path    string
	Value   string // as the guest wrote it, cut to 32 bytes
	Problem string
}

func (e *NodeError) Error() string {
	return fmt.Sprintf("xenstore node %s holds %q, which %s", e.Path, e.Value, e.Problem)
}

// Hostile says that the guest broke the rules.
func (e *NodeError) Hostile() bool { return true }

func nodeError(front, name, value, problem string) error {
	return &NodeError{Path: xenstore.Join(front, name), Value: value[:min(len(value), 32)], Problem: problem}
}

// Violation is a guest that broke the rules of the ring or of the events.
type Violation struct{ Err error }

func (e *Violation) Error() string { return e.Err.Error() }
func (e *Violation) Unwrap() error { return e.Err }

// Hostile says that the guest broke the rules.
func (e *Violation) Hostile() bool { return true }

// ErrFlood is a guest that sends events without end and moves nothing.
var ErrFlood = errors.New("the guest floods its console with events")

// blame marks what only a hostile guest can cause.
func blame(err error) error {
	if errors.Is(err, ring.ErrCorrupt) || errors.Is(err, ErrFlood) {
		return &Violation{err}
	}
	return err
}
