package host

import (
	"math"
	"sync"
	"time"
)

// bucket is a token bucket: it holds so many bytes and fills again within a
// period. Its methods are safe for concurrent use; its clock is its caller's,
// and one that is set back gives nothing. The arithmetic is in 64 bits on every
// machine: what a group may have, as many budgets as sessions, is up to 2^50
// bytes.
type bucket struct {
	size   float64 // bytes
	period time.Duration

	mu    sync.Mutex
	holds float64 // bytes, as of at
	at    time.Time
}

// speck is what rounding may cost, in bytes: a wait that was kept is not to end
// just short of a byte.
const speck = 1e-6

// newBucket returns a full bucket for n times a budget.
func newBucket(b Budget, n int) *bucket {
	size := float64(b.Bytes) * float64(n)
	return &bucket{size: size, period: b.Period, holds: size}
}

// fill brings holds up to now. The caller holds mu.
func (b *bucket) fill(now time.Time) {
	if since := now.Sub(b.at); b.at.IsZero() || since > 0 {
		b.holds = min(b.size, b.holds+b.size*(float64(since)/float64(b.period)))
		b.at = now
	}
}

// take takes n bytes or says how long to wait for them: more than no time. More
// than the bucket ever holds is never there.
func (b *bucket) take(now time.Time, n int) (ok bool, wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fill(now)
	missing := float64(n) - b.holds
	if missing > speck {
		wait = time.Duration(math.Ceil(min(1, missing/b.size) * float64(b.period)))
		return false, max(wait, 1)
	}
	b.holds = max(0, -missing)
	return true, 0
}

// giveBack undoes a take.
func (b *bucket) giveBack(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.holds = min(b.size, b.holds+float64(n))
}

// left is how many bytes could be taken now.
func (b *bucket) left(now time.Time) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fill(now)
	return int(min(b.holds+speck, math.MaxInt32))
}

// full says whether nothing is owed: the bucket then holds no more than a new
// one would.
func (b *bucket) full(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fill(now)
	return b.holds >= b.size-speck
}
