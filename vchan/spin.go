package vchan

import (
	"runtime"
	"time"
)

// Spinning: a peer that answers within microseconds is met awake, which saves
// both sides a system call and a wake-up. All of it is our own choice.
const (
	spinStart = 20 * time.Microsecond
	spinMax   = 50 * time.Microsecond
	spinMin   = 3 * time.Microsecond // under this a spin is not worth its start
	spinBatch = 32                   // looks between two looks at the clock
)

// canSpin: on one CPU the peer cannot run while we spin.
func canSpin() bool { return runtime.NumCPU() > 1 && runtime.GOMAXPROCS(0) > 1 }

// spinner is one direction's knowledge of whether spinning pays. A spin that
// meets the peer doubles the budget, one in vain halves it down to nothing; a
// sleep so short that a spin would have met the peer brings it back.
type spinner struct {
	budget time.Duration
	off    bool
}

// spin looks at ready for as long as the budget says.
func (s *spinner) spin(ready func() bool) bool {
	if s.off || s.budget < spinMin {
		return false
	}
	begin := time.Now()
	for {
		for range spinBatch {
			if ready() {
				s.budget = min(2*s.budget, spinMax)
				return true
			}
		}
		if time.Since(begin) >= s.budget {
			s.budget /= 2
			return false
		}
	}
}

// start and slept are put around a sleep. A nil spinner learns nothing.
func (s *spinner) start(c *Conn) int64 {
	if s == nil || s.off || s.budget >= spinMin {
		return 0
	}
	return c.now()
}

func (s *spinner) slept(c *Conn, start int64) {
	if start != 0 && c.now()-start < int64(spinMax) {
		s.budget = spinStart
	}
}
