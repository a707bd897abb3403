package console

import (
	"context"
	"errors"

	"github.com/xentropyd/xentropyd/xenstore"
)

// State is where an end of a device stands: enum xenbus_state of
// xen/io/xenbus.h.
type State int

// The states; 7 and 8, for reconfiguring, mean nothing to a console.
const (
	Unknown      State = 0
	Initialising State = 1
	InitWait     State = 2
	Initialised  State = 3
	Connected    State = 4
	Closing      State = 5
	Closed       State = 6

	lastState = 8
)

// Front is what the guest says in its part of xenstore. Ring and Port are set
// in states 3 and 4 alone.
type Front struct {
	State State
	Ring  uint32 // grant reference of the page
	Port  uint32 // the guest's event channel
}

// Ready says whether the guest has made a ring and waits for us, or works with
// us already.
func (f Front) Ready() bool { return f.State == Initialised || f.State == Connected }

// Names of the nodes of both ends.
const (
	nodeState = "state"
	nodeRing  = "ring-ref"
	nodePort  = "port"
	nodeBack  = "backend"
)

// look reads a front end, in one transaction so that all belongs together. One
// whose back end is not back is ErrTaken.
func look(ctx context.Context, store *xenstore.Client, front, back string) (f Front, err error) {
	var state, ref, port, whose string
	err = store.Transaction(ctx, func(tx *xenstore.Tx) error {
		for name, to := range map[string]*string{nodeBack: &whose, nodeState: &state, nodeRing: &ref, nodePort: &port} {
			v, err := tx.Read(ctx, xenstore.Join(front, name))
			if errors.Is(err, xenstore.ErrNotFound) {
				v, err = "", nil
			}
			if err != nil {
				return err
			}
			*to = v
		}
		return nil
	})
	if err != nil {
		return Front{}, err
	}
	if whose != back {
		return Front{}, ErrTaken
	}
	return parse(front, state, ref, port)
}

// parse reads the values as hostile input: decimal digits and nothing else.
func parse(front, state, ref, port string) (f Front, err error) {
	s, err := xenstore.ParseNumber(xenstore.Join(front, nodeState), state, 0, lastState)
	if err != nil {
		return Front{}, err
	}
	f.State = State(s)
	if !f.Ready() {
		return f, nil
	}
	if f.Ring, err = xenstore.ParseNumber(xenstore.Join(front, nodeRing), ref, 1, xenstore.MaxGrantRef); err != nil {
		return Front{}, err
	}
	if f.Port, err = xenstore.ParseNumber(xenstore.Join(front, nodePort), port, 1, xenstore.MaxPort); err != nil {
		return Front{}, err
	}
	return f, nil
}
