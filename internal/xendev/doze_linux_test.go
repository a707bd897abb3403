package xendev

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A doze ends with the event; one in vain is followed by more and more sleeps without.
func TestDoze(t *testing.T) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	require.NoError(t, err)
	defer unix.Close(fd)
	var d dozer
	for _, skips := range []uint8{1, 3, 7, 15, 31, 63, 63} {
		d.doze(fd)
		require.Equal(t, skips, d.skip)
		for range skips {
			d.doze(fd)
		}
		require.Zero(t, d.skip)
	}
	require.Zero(t, dozing.Load())
	_, err = unix.Write(fd, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	require.NoError(t, err)
	d.doze(fd)
	require.Zero(t, d.penalty)
	require.Zero(t, d.skip)

	// With as many dozers as CPUs nobody else dozes, and that is not in vain.
	dozing.Add(dozingMost)
	defer dozing.Add(-dozingMost)
	var e dozer
	e.doze(fd)
	require.Zero(t, e.skip)
	require.Equal(t, dozingMost, dozing.Load())
}
