package host

import (
	"time"

	"github.com/xentropyd/xentropyd/protocol"
	"github.com/xentropyd/xentropyd/transport"
)

// Seed is what is pushed to every guest that speaks protocol 2, and how often.
type Seed struct {
	Bytes    int           `toml:"bytes"`    // of each seed, 32 to 1024
	Interval time.Duration `toml:"interval"` // between two seeds, 100 ms to a day

	// Jitter spreads the intervals, so that guests which started together do
	// not stay together: each is drawn from 1-Jitter to 1+Jitter times
	// Interval. It is 0 up to, not including, 1.
	Jitter float64 `toml:"jitter"`
}

// MinSeedBytes is the smallest seed, in bytes: 256 bits, Fortuna's strength.
const MinSeedBytes = 32

// Bounds on the interval between seeds; a seed's upper one is the protocol's.
const (
	minInterval = 100 * time.Millisecond // Fortuna takes no more from its pools
	maxInterval = 24 * time.Hour         // a guest that only listens should not run for days on one seed
)

// DefaultSeed is 512 bits about once a minute: twice Fortuna's strength, and
// well within the default budget.
func DefaultSeed() Seed { return Seed{Bytes: 64, Interval: time.Minute, Jitter: 0.25} }

// Check says what is wrong.
func (s Seed) Check() []transport.Fault {
	var f faults
	between(&f, "bytes", s.Bytes, MinSeedBytes, protocol.MaxSeed)
	between(&f, "interval", s.Interval, minInterval, maxInterval)
	if !(s.Jitter >= 0 && s.Jitter < 1) { // so written, NaN is refused
		f.add("jitter", "%v; want 0 up to, not including, 1", s.Jitter)
	}
	return f
}
