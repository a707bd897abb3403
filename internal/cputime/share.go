package cputime

import (
	"sync"
	"time"
)

// Share is a part of one core's time. Whoever was idle may use Burst at once.
// Its methods are safe for concurrent use; the clock is the caller's.
type Share struct {
	part  float64 // seconds per second
	burst time.Duration

	mu   sync.Mutex
	used time.Duration // what is not worked off yet
	at   time.Time     // when that was so
}

// NewShare returns a share of part of a core: 0.05 is a twentieth.
func NewShare(part float64, burst time.Duration) *Share { return &Share{part: part, burst: burst} }

// Use takes d and returns how long to wait until nothing is owed, 0 for not at
// all. It never refuses: what was used is used.
func (s *Share) Use(now time.Time, d time.Duration) (wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if past := now.Sub(s.at); past > 0 {
		back := float64(past) * s.part // may be beyond what a Duration holds
		if back >= float64(s.used) {
			s.used = 0
		} else {
			s.used -= time.Duration(back)
		}
		s.at = now
	}
	s.used += max(0, d)
	if over := s.used - s.burst; over > 0 {
		return time.Duration(float64(over) / s.part)
	}
	return 0
}
