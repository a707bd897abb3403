package host

import (
	"fmt"
	"time"

	"golang.org/x/time/rate"
)

// Budget is how many bytes a guest may be given per period. A guest that was silent can have at most Bytes at once.
type Budget struct {
	Bytes  int
	Period time.Duration
}

// DefaultBudget is what MirageOS's xentropyd gave: 1,024 bytes, then silence for a minute.
var DefaultBudget = Budget{Bytes: 1024, Period: time.Minute}

func (b Budget) String() string { return fmt.Sprintf("%d bytes per %v", b.Bytes, b.Period) }

// Check refuses a budget that could not be kept.
func (b Budget) Check() error {
	switch {
	case b.Bytes < MinSeedBytes:
		return fmt.Errorf("budget of %d bytes: a seed alone takes %d", b.Bytes, MinSeedBytes)
	case b.Bytes > 1<<30:
		return fmt.Errorf("budget of %d bytes: at most %d", b.Bytes, 1<<30)
	case b.Period < time.Millisecond:
		return fmt.Errorf("budget period of %v: at least a millisecond", b.Period)
	}
	return nil
}

// bucket is a token bucket that holds a Budget. Its clock is its caller's.
type bucket struct{ limiter *rate.Limiter }

func newBucket(b Budget) bucket {
	return bucket{rate.NewLimiter(rate.Limit(float64(b.Bytes)/b.Period.Seconds()), b.Bytes)}
}

// take takes n bytes or says how long to wait for them. A wait of zero with a nil reservation means that the bucket never
// holds as many. The reservation's CancelAt gives the bytes back.
func (b bucket) take(now time.Time, n int) (taken *rate.Reservation, wait time.Duration) {
	r := b.limiter.ReserveN(now, n)
	if !r.OK() {
		return nil, 0
	}
	if d := r.DelayFrom(now); d > 0 {
		r.CancelAt(now)
		return nil, d
	}
	return r, 0
}

// force takes n bytes even if that leaves a debt: for what the guest cannot cause, such as a new generation.
func (b bucket) force(now time.Time, n int) { b.limiter.ReserveN(now, min(n, b.limiter.Burst())) }

// left is how many bytes could be taken now.
func (b bucket) left(now time.Time) int { return max(0, int(b.limiter.TokensAt(now))) }

// full says whether nothing is owed: the bucket then holds no more than a new one would.
func (b bucket) full(now time.Time) bool {
	return b.limiter.TokensAt(now) >= float64(b.limiter.Burst())
}
