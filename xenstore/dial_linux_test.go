package xenstore

import (
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestFullBacklog: a daemon that has not accepted yet is waited for, although
// the kernel says EAGAIN.
func TestFullBacklog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer syscall.Close(fd)
	require.NoError(t, syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}))
	require.NoError(t, syscall.Listen(fd, 1)) // as both daemons do
	const clients = 6
	results := make(chan error, clients)
	for range clients {
		go func() {
			c, err := DialAddress(t.Context(), path)
			if err == nil {
				err = c.Close()
			}
			results <- err
		}()
	}
	// Two fit the backlog: the others have met EAGAIN by the time that these
	// are done.
	require.NoError(t, <-results)
	require.NoError(t, <-results)
	for range clients {
		c, _, err := syscall.Accept(fd)
		require.NoError(t, err)
		require.NoError(t, syscall.Close(c))
	}
	for range clients - 2 {
		require.NoError(t, <-results)
	}
}
