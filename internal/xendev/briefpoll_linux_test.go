package xendev

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A brief poll ends with the event; one in vain is followed by more and more
// sleeps without.
func TestBriefPoll(t *testing.T) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	require.NoError(t, err)
	defer unix.Close(fd)
	var d briefPoll
	for _, skips := range []uint8{1, 3, 7, 15, 31, 63, 63} {
		d.wait(fd)
		require.Equal(t, skips, d.skip)
		for range skips {
			d.wait(fd)
		}
		require.Zero(t, d.skip)
	}
	require.Zero(t, briefNow.Load())
	_, err = unix.Write(fd, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	require.NoError(t, err)
	d.wait(fd)
	require.Zero(t, d.penalty)
	require.Zero(t, d.skip)

	// With as many as CPUs nobody else polls briefly, and that is not in vain.
	briefNow.Add(briefMost)
	defer briefNow.Add(-briefMost)
	var e briefPoll
	e.wait(fd)
	require.Zero(t, e.skip)
	require.Equal(t, briefMost, briefNow.Load())
}
