package console

import (
	"context"
	"errors"
	"strconv"

	"github.com/xentropyd/xentropyd/xenstore"
)

// State is where an end of a device stands: enum xenbus_state of xen/io/xenbus.h.
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

// Front is what the guest says in its part of xenstore. Ring and Port are set in states 3 and 4 alone.
type Front struct {
	State State
	Ring  uint32 // grant reference of the page
	Port  uint32 // the guest's event channel
}

// Ready says whether the guest has made a ring and waits for us, or works with us already.
func (f Front) Ready() bool { return f.State == Initialised || f.State == Connected }

// Limits of the values. References are 32 bits (grant_ref_t), and 0 belongs to console 0. Ports go up to
// EVTCHN_FIFO_NR_CHANNELS (event_channel.h), exclusively, and 0 is none.
const (
	maxRef    = 1<<32 - 1
	maxPort   = 1<<17 - 1
	maxDigits = 10
)

// Names of the nodes of both ends.
const (
	nodeState = "state"
	nodeRing  = "ring-ref"
	nodePort  = "port"
	nodeBack  = "backend"
)

// look reads a front end, in one transaction so that all belongs together. One whose back end is not back is ErrTaken.
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
	s, problem := number(state, 0, lastState)
	if problem != "" {
		return Front{}, nodeError(front, nodeState, state, problem)
	}
	f.State = State(s)
	if !f.Ready() {
		return f, nil
	}
	if f.Ring, problem = number(ref, 1, maxRef); problem != "" {
		return Front{}, nodeError(front, nodeRing, ref, problem)
	}
	if f.Port, problem = number(port, 1, maxPort); problem != "" {
		return Front{}, nodeError(front, nodePort, port, problem)
	}
	return f, nil
}

func number(s string, least, most uint64) (n uint32, problem string) {
	if s == "" || len(s) > maxDigits {
		return 0, "is not a number of 1 to 10 digits"
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, "is not a number of digits alone"
		}
	}
	v, err := strconv.ParseUint(s, 10, 64)
	switch {
	case err != nil || v > most:
		return 0, "is over " + strconv.FormatUint(most, 10)
	case v < least:
		return 0, "is under " + strconv.FormatUint(least, 10)
	}
	return uint32(v), ""
}
