package local

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/xentropyd/xentropyd/internal/othertest"
	"github.com/xentropyd/xentropyd/transport"
	"github.com/xentropyd/xentropyd/transport/internal/socket"
)

// A user who connects without end is turned away, then kept out; nobody else
// notices.
func TestConnectFlood(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o755))
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755))
	const flooder, other, burst = 12345, 12346, 10
	told := make(map[uint32]int)
	l, err := listenFilled(filepath.Join(dir, "s"), options{
		Mode: 0o666, Rate: 1e-9, Burst: burst,
		Refused: func(p transport.Peer, err error) { told[userOf(p)]++; assert.ErrorIs(t, err, socket.ErrTooFast) },
	})
	require.NoError(t, err)
	came := make(chan uint32, 1000)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, p, err := accept(l)
			if err != nil {
				return
			}
			came <- userOf(p)
			_ = c.Close()
		}
	}()
	busy, kept := 0, false
	othertest.As(t, flooder, flooder, func() {
		for i := range 100000 {
			nc, err := net.Dial("unix", l.path)
			if err != nil {
				kept = true
				require.ErrorIs(t, err, unix.EACCES)
				return
			}
			fd, err := receive(nc.(*net.UnixConn))
			if i < burst {
				require.NoError(t, err)
				_ = unix.Close(fd)
			} else {
				re := new(RefusedError)
				require.ErrorAs(t, err, &re)
				require.True(t, re.Busy)
				busy++
			}
			_ = nc.Close()
			if busy > 1000 {
				return // no lists here: Accept rests instead
			}
		}
	})
	if !kept {
		t.Log("the temporary directory's file system has no access control lists: nobody was kept out")
	}
	othertest.As(t, other, other, func() {
		nc, err := net.Dial("unix", l.path)
		require.NoError(t, err)
		defer nc.Close()
		fd, err := receive(nc.(*net.UnixConn))
		require.NoError(t, err)
		_ = unix.Close(fd)
	})
	require.NoError(t, l.Close())
	<-done
	count := make(map[uint32]int)
	for close(came); ; {
		uid, ok := <-came
		if !ok {
			break
		}
		count[uid]++
	}
	require.Equal(t, map[uint32]int{flooder: burst, other: 1}, count)
	require.Zero(t, told[other])
	require.NotZero(t, told[flooder])
}
