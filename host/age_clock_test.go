package host

import (
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/internal/age"
	"github.com/xentropyd/xentropyd/transport"
)

// setClock is what time.Now gives after the machine's clock was set by this much: the wall part moves, the monotonic one does not. It knows
// how a Time with both is made (time.Time: bits 30 to 62 of wall are seconds since 1885), which the test checks.
func setClock(t *testing.T, at time.Time, by time.Duration) time.Time {
	t.Helper()
	moved := at
	wall := (*uint64)(unsafe.Pointer(&moved))
	*wall += uint64(int64(by/time.Second)) << 30
	require.Zero(t, moved.Sub(at), "the monotonic reading is the same")
	require.InDelta(t, by.Seconds(), float64(moved.Unix()-at.Unix()), 1)
	return moved
}

// A board without a clock starts in 1970 and gets the time of day when the network is up: no age jumps with it, nor does a budget.
func TestAgesDoNotFollowTheWallClock(t *testing.T) {
	begin := time.Now()
	after, step := time.Duration(0), time.Duration(0)
	clock := func() time.Time { return setClock(t, begin.Add(after), step) }
	cfg, err := Config{Now: clock}.complete()
	require.NoError(t, err)
	s, err := NewServer(newDrawer(), cfg)
	require.NoError(t, err)
	e := entry{budget: Budget{1024, time.Minute}}
	r := s.guests.connect(transport.Peer{ID: "a"}, &cfg, e, s.bucketFor(nil, e))
	ok, _ := r.bucket.take(clock(), 1024)
	require.True(t, ok)
	r.lastSeed, r.lastAck = clock(), clock()
	for _, step = range []time.Duration{20785 * 24 * time.Hour, -365 * 24 * time.Hour} {
		after += 3 * time.Second
		st := s.Status()
		require.Equal(t, age.Of(after), st.Uptime)
		require.Equal(t, age.Of(after), st.Guests[0].LastSeed)
		require.Equal(t, age.Of(after), st.Guests[0].LastAck)
		require.True(t, st.Guests[0].LastKernelAck.IsZero(), "never")
		require.InDelta(t, 1024*after.Seconds()/60, st.Guests[0].BudgetLeft, 1)
	}
}
