package fortuna

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// Freshness tells whether the memory that the state lives in may have been
// copied: a virtual machine restored from a snapshot or cloned, say. Both
// copies would give the same bytes from there on.
//
// A Fortuna with it promises: a read whose end comes after a change of the
// generation gives no byte that was made from the state before that change.
// Precisely,
//
//   - New asks for the generation once and takes the state, empty yet, to
//     belong to it.
//   - Each read asks first. If the answer differs, every buffered byte is
//     discarded, Renew is called for the new generation and its bytes are mixed
//     in, before any byte leaves. If Renew fails, the read returns an error
//     that wraps ErrStale and gives nothing, the same holds for the other
//     reads, and the next read tries again, even should the generation show its
//     old value by then.
//   - The read asks again when it has filled p. If the answer differs, p is
//     wiped and the read starts over, a few times at most, then ErrStale. Thus
//     a snapshot taken between the first question and the copying is noticed.
//     One taken after the second question is not: those bytes had been given by
//     then, and whether both copies use them is in the caller's hands.
//   - While the state is not seeded, reads return ErrNotSeeded and Renew is not
//     called. Explicit seeds and events are taken at any time and do not stand
//     for a renewal.
type Freshness interface {
	// Generation returns a number that changes when the state may have been
	// copied and never comes back to an earlier value. It is called twice in
	// each read, by several goroutines at once, and should cost no more than a
	// load from memory.
	Generation() uint64

	// Renew returns bytes that no copy of this process has, 32 or more of them,
	// which the Fortuna wipes once they are mixed in. One call runs at a time,
	// and all reads wait for it, so bound the time it takes. It may call
	// AddEvent, Reseed and Close, but not Read. No bytes at all count as a
	// failure.
	Renew(generation uint64) ([]byte, error)
}

// renewal is the state of the freshness hook.
type renewal struct {
	mu         sync.Mutex    // one Renew at a time
	generation atomic.Uint64 // that the state belongs to
	stale      atomic.Bool   // a change was seen and Renew has not succeeded since
}

// current says whether the state belongs to a generation.
func (r *renewal) current(generation uint64) bool {
	return r.generation.Load() == generation && !r.stale.Load()
}

func (f *Fortuna) readFresh(p []byte) (int, error) {
	for range maxRestarts {
		generation := f.fresh.Generation()
		if !f.renew.current(generation) {
			var err error
			if generation, err = f.renewState(); err != nil {
				return 0, err
			}
		}
		n, err := f.read(p)
		if err != nil {
			return 0, err
		}
		if f.fresh.Generation() == generation && !f.renew.stale.Load() {
			return n, nil
		}
		clear(p)
	}
	return 0, fmt.Errorf("%w: the generation changed %d times during one read, read again", ErrStale, maxRestarts)
}

// renewState brings the state to the present generation and returns it.
func (f *Fortuna) renewState() (uint64, error) {
	r := &f.renew
	r.mu.Lock()
	defer r.mu.Unlock()
	generation := f.fresh.Generation()
	if r.current(generation) {
		return generation, nil // another read has waited for the same
	}
	if f.state.closed() {
		return 0, ErrClosed
	}
	f.reseedFromPools()
	if f.state.load() < stateEpoch {
		return 0, ErrNotSeeded
	}
	r.stale.Store(true)
	f.mu.Lock()
	f.state.advance()
	f.mu.Unlock()
	f.discard()
	seed, err := f.fresh.Renew(generation)
	defer clear(seed)
	if err != nil {
		return 0, fmt.Errorf("%w: renew for generation %d: %w", ErrStale, generation, err)
	}
	if len(seed) == 0 {
		return 0, fmt.Errorf("%w: renew for generation %d: no bytes came", ErrStale, generation)
	}
	if !f.mix(seed, &f.renewals) {
		return 0, ErrClosed
	}
	r.generation.Store(generation)
	r.stale.Store(false)
	return generation, nil
}
