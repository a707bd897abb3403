package host

import (
	"encoding/json"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
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
	r := s.guests.connect(Peer{ID: "a"}, &cfg, e, s.bucketFor(nil, e))
	ok, _ := r.bucket.take(clock(), 1024)
	require.True(t, ok)
	r.lastSeed, r.lastAck = clock(), clock()
	for _, step = range []time.Duration{20785 * 24 * time.Hour, -365 * 24 * time.Hour} {
		after += 3 * time.Second
		st := s.Status()
		require.Equal(t, AgeOf(after), st.Uptime)
		require.Equal(t, AgeOf(after), st.Guests[0].LastSeed)
		require.Equal(t, AgeOf(after), st.Guests[0].LastAck)
		require.True(t, st.Guests[0].LastKernelAck.IsZero(), "never")
		require.InDelta(t, 1024*after.Seconds()/60, st.Guests[0].BudgetLeft, 1)
	}
}

func TestAgeInJSON(t *testing.T) {
	type ages struct {
		A Age `json:"a,omitzero"`
		B Age `json:"b,omitzero"`
		C Age `json:"c"`
	}
	in := ages{A: AgeOf(1500 * time.Millisecond)}
	b, err := json.Marshal(in)
	require.NoError(t, err)
	require.JSONEq(t, `{"a":1.5,"c":null}`, string(b))
	var out ages
	require.NoError(t, json.Unmarshal(b, &out))
	require.Equal(t, in, out)
	for text, want := range map[string]time.Duration{"0": 0, "-1": 0, "1e300": 1e9 * time.Second, "-1e300": 0} {
		var a Age
		require.NoError(t, json.Unmarshal([]byte(text), &a))
		ago, ever := a.Ago()
		require.True(t, ever, text)
		require.Equal(t, want, ago, text)
	}
	require.Error(t, json.Unmarshal([]byte(`{"a":"1 s"}`), &out))
}
