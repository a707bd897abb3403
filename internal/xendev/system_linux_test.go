package xendev

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestInterruptedCallIsMadeAgain(t *testing.T) {
	for _, last := range []error{nil, unix.ENOMEM} {
		calls := 0
		b, err := untilDone(func() ([]byte, error) {
			if calls++; calls < 3 {
				return nil, unix.EINTR
			}
			return []byte{1}, last
		})
		require.Equal(t, last, err)
		require.Equal(t, []byte{1}, b)
		require.Equal(t, 3, calls)
	}
}
