package host

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestBucket(t *testing.T) {
	now := time.Unix(1e9, 0)
	b := newBucket(Budget{1000, 100 * time.Second}, 1)
	ok, _ := b.take(now, 960)
	require.True(t, ok)
	ok, wait := b.take(now, 60)
	require.False(t, ok)
	require.Equal(t, 2*time.Second, wait)
	ok, _ = b.take(now.Add(wait-time.Millisecond), 60)
	require.False(t, ok, "just before")
	require.Equal(t, 59, b.left(now.Add(wait-time.Millisecond)))
	ok, _ = b.take(now.Add(wait), 60)
	require.True(t, ok, "at the time that was named")
	require.Zero(t, b.left(now.Add(wait)))
	require.Zero(t, b.left(now.Add(-time.Hour)), "a clock that is set back")
	b.giveBack(60)
	require.Equal(t, 60, b.left(now.Add(wait)))
	require.False(t, b.full(now.Add(95*time.Second)))
	require.True(t, b.full(now.Add(96*time.Second+time.Millisecond)))
	require.Equal(t, 1000, b.left(now.Add(1e6*time.Hour)))
	ok, wait = b.take(now.Add(2e6*time.Hour), 1001)
	require.False(t, ok, "never")
	require.Positive(t, wait)
}

// Whatever budget is accepted serves, on 32 bits as on 64.
func TestLargestBudgets(t *testing.T) {
	largest := Budget{maxBudget, 24 * time.Hour}
	require.Empty(t, largest.Check())
	now := time.Unix(1e9, 0)
	b := newBucket(largest, 1<<20) // of a group with as many sessions as the configuration allows
	for range 1000 {
		ok, _ := b.take(now, maxBudget)
		require.True(t, ok)
	}
	for b.left(now) >= 64 {
		ok, _ := b.take(now, min(b.left(now), maxBudget))
		require.True(t, ok)
	}
	ok, wait := b.take(now, maxBudget)
	require.False(t, ok)
	require.InDelta(t, 24*time.Hour/(1<<20), wait, float64(time.Millisecond))
	require.Positive(t, newBucket(Budget{MinSeedBytes, 1<<63 - 1}, 1).left(now))
}

// Waits that are kept are enough, whatever the numbers: the rounding is ours.
func TestWaitIsEnough(t *testing.T) {
	now := time.Unix(1e9, 0)
	for _, budget := range []Budget{
		{1024, time.Minute},
		{32, time.Millisecond},
		{333, 7 * time.Second},
		{maxBudget, 24 * time.Hour},
		{MinSeedBytes, 24 * time.Hour},
	} {
		b := newBucket(budget, 1)
		for i := range 1000 {
			n := 1 + (i*7919)%budget.Bytes
			ok, wait := b.take(now, n)
			if !ok {
				require.LessOrEqual(t, wait, budget.Period)
				now = now.Add(wait)
				ok, _ = b.take(now, n)
			}
			require.True(t, ok, "%v, %d bytes", budget, n)
		}
	}
}
