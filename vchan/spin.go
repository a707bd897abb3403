package vchan

import (
	"runtime"
	"time"
)

// Spinning: a peer that answers within microseconds is met awake, which saves
// both sides a system call and a wake-up. All of it is our own choice.
const (
	spinShort = 20 * time.Microsecond // covers a peer's wake-up
	spinLong  = 50 * time.Microsecond
	spinBatch = 32   // looks between two looks at the clock
	spinMost  = 2048 // batches, for a clock that stands still (testing/synctest)
	skipMost  = 255  // sleeps without a spin, where spinning does not pay

	// The same with Config.Spin, where a sleep costs so much more than a spin
	// that one in eight may be in vain. Two ends that wake each other in turn
	// get out of that only by a spin that outlasts the other's waking.
	skipMostFar = 7
)

// canSpin: on one CPU the peer cannot run while we spin.
func canSpin() bool { return runtime.NumCPU() > 1 && runtime.GOMAXPROCS(0) > 1 }

// spinner is one direction's knowledge of whether spinning pays. After each
// spin in vain twice as many sleeps go by without one.
type spinner struct {
	off     bool
	looks   int   // Config.Spin
	alone   bool  // no two goroutines run at once: the others go first
	long    bool  // the last success took more than half of a short spin
	skip    uint8 // sleeps until the next spin
	penalty uint8
}

// newSpinner makes one that spins at once for a peer on this machine, and for a
// far one once the exchange has turned out to be longer.
func newSpinner(looks int) spinner {
	if looks == 0 {
		return spinner{off: !canSpin()}
	}
	return spinner{looks: looks, alone: runtime.GOMAXPROCS(0) == 1, skip: skipMostFar}
}

// spin looks at ready for a while, or not at all.
func (s *spinner) spin(ready func() bool) bool {
	if s.off {
		return false
	}
	if s.skip > 0 {
		s.skip--
		return false
	}
	if s.looks > 0 {
		return s.count(ready)
	}
	budget := spinShort
	if s.long {
		budget = spinLong
	}
	begin := time.Now()
	for batch := 0; ; batch++ {
		for range spinBatch {
			if ready() {
				s.penalty = 0
				s.long = time.Since(begin) > spinShort/2
				return true
			}
		}
		if time.Since(begin) >= budget || batch >= spinMost {
			s.long = false
			s.vain(skipMost)
			return false
		}
	}
}

// count is spin without a clock, the reading of which is a system call where
// Xen's is the kernel's.
func (s *spinner) count(ready func() bool) bool {
	if s.alone {
		runtime.Gosched()
	}
	for range s.looks {
		if ready() {
			s.penalty = 0
			return true
		}
	}
	s.vain(skipMostFar)
	return false
}

func (s *spinner) vain(most int) {
	s.penalty = uint8(min(2*int(s.penalty)+1, most))
	s.skip = s.penalty
}
