package host

import (
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/transport"
)

// beforeSet is a time as it was taken before the machine's clock was set by
// this much: the wall part is another one, the monotonic one is not. It knows
// how a Time with both is made (time.Time: bits 30 to 62 of wall are seconds
// since 1885), which the test checks.
func beforeSet(t *testing.T, at time.Time, by time.Duration) time.Time {
	t.Helper()
	moved := at
	wall := (*uint64)(unsafe.Pointer(&moved))
	*wall -= uint64(int64(by/time.Second)) << 30
	require.Zero(t, moved.Sub(at), "the monotonic reading is the same")
	require.InDelta(t, -by.Seconds(), float64(moved.Unix()-at.Unix()), 1)
	return moved
}

// A board without a clock starts in 1970 and gets the time of day when the
// network is up: no age jumps with it, nor does a budget. The times of a bubble
// have no monotonic reading, so this is the real clock, and what was three
// hours ago is made so.
func TestAgesDoNotFollowTheWallClock(t *testing.T) {
	const ago = 3 * time.Hour
	budget := Budget{1024, 24 * time.Hour}
	for _, step := range []time.Duration{20785 * 24 * time.Hour, -365 * 24 * time.Hour} {
		s, err := NewServer(newDrawer(), with(func(c *Config) { c.Budget = budget }))
		require.NoError(t, err)
		r := s.guests.connect(transport.Peer{ID: "a"}, &s.cfg, s.entryOf(transport.Peer{}), newBucket(budget, 1))
		ok, _ := r.bucket.take(time.Now(), 1024)
		require.True(t, ok)
		r.lastSeed, r.lastAck = time.Now(), time.Now()
		for _, at := range []*time.Time{&s.started, &r.bucket.at, &r.lastSeed, &r.lastAck} {
			*at = beforeSet(t, at.Add(-ago), step)
		}
		st := s.Status()
		for _, a := range []Age{st.Uptime, st.Guests[0].LastSeed, st.Guests[0].LastAck} {
			was, ever := a.Ago()
			require.True(t, ever)
			require.InDelta(t, ago.Minutes(), was.Minutes(), 10)
		}
		require.True(t, st.Guests[0].LastKernelAck.IsZero(), "never")
		require.InDelta(t, 128, st.Guests[0].BudgetLeft, 8)
	}
}
