package vchan

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A far peer is looked for a number of times, and where that is in vain more
// and more sleeps go by without a look, up to a bound.
func TestSpinFar(t *testing.T) {
	s := newSpinner(100)
	require.False(t, s.off) // on one CPU, too
	looks := 0
	never := func() bool { looks++; return false }
	for range skipMostFar { // a short exchange does not spin
		require.False(t, s.spin(never))
		require.Zero(t, looks)
	}
	for _, skips := range []int{1, 3, 7, 7} {
		looks = 0
		require.False(t, s.spin(never))
		require.Equal(t, 100, looks)
		for range skips {
			require.False(t, s.spin(never))
			require.Equal(t, 100, looks)
		}
	}
	// One that comes is met, and the next time is looked for at once.
	for _, at := range []int{100, 1} {
		looks = 0
		require.True(t, s.spin(func() bool { looks++; return looks == at }))
		require.Equal(t, at, looks)
	}
	require.False(t, s.spin(never))
	require.Equal(t, 101, looks)
	require.EqualValues(t, 1, s.skip)
}
