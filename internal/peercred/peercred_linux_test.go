package peercred

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	defer l.Close()
	c, err := net.Dial("unix", path)
	require.NoError(t, err)
	defer c.Close()
	a, err := l.Accept()
	require.NoError(t, err)
	defer a.Close()
	for _, end := range []net.Conn{c, a} {
		got, err := Of(end.(*net.UnixConn))
		require.NoError(t, err)
		require.EqualValues(t, os.Getpid(), got.PID)
		require.EqualValues(t, os.Getuid(), got.UID)
		require.EqualValues(t, os.Getgid(), got.GID)
		want, err := os.Getgroups()
		require.NoError(t, err)
		groups, err := Groups(end.(*net.UnixConn))
		require.NoError(t, err)
		require.Len(t, groups, len(want))
		for _, g := range want {
			require.Contains(t, groups, uint32(g))
		}
	}
}
