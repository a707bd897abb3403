package unixsock

import (
	"context"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A host that has not accepted those before is waited for, as long as the
// context lets us.
func TestConnectWaitsForRoom(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(fd)
	require.NoError(t, unix.Bind(fd, &unix.SockaddrUnix{Name: path}))
	require.NoError(t, unix.Listen(fd, 0))
	first, err := net.Dial("unix", path) // takes the only place
	require.NoError(t, err)
	defer first.Close()

	ctx, cancel := context.WithTimeout(t.Context(), 2*connectTime)
	defer cancel()
	_, err = Connect(ctx, path)
	require.ErrorIs(t, err, unix.EAGAIN)

	come := make(chan error, 1)
	var c *net.UnixConn
	go func() { var err error; c, err = Connect(t.Context(), path); come <- err }()
	select {
	case err := <-come:
		t.Fatal("it did not wait: ", err)
	case <-time.After(2 * connectTime):
	}
	accept := func() {
		nfd, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
		require.NoError(t, err)
		require.NoError(t, unix.Close(nfd))
	}
	accept()
	require.NoError(t, <-come)
	defer c.Close()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Millisecond)))
	_, err = c.Read(make([]byte, 1)) // does not block
	var timeout net.Error
	require.ErrorAs(t, err, &timeout)
	require.True(t, timeout.Timeout())
}

func TestConnectFails(t *testing.T) {
	_, err := Connect(t.Context(), filepath.Join(t.TempDir(), "s"))
	require.ErrorIs(t, err, unix.ENOENT)
	_, err = connectBlocking(filepath.Join(t.TempDir(), "s"))
	require.ErrorIs(t, err, unix.ENOENT)
	require.ErrorContains(t, err, "dial unix /")
}
