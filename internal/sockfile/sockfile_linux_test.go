package sockfile

import (
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// dir is short enough for a socket's path.
func dir(t *testing.T) string {
	d, err := os.MkdirTemp("/tmp", "sockfile-")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(d) })
	return d
}

func TestListen(t *testing.T) {
	path := filepath.Join(dir(t), "s")
	l, own, err := Listen(path, 0o640)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o640), own.Mode().Perm())
	now, err := os.Lstat(path)
	require.NoError(t, err)
	require.True(t, os.SameFile(own, now))
	c, err := net.Dial("unix", path)
	require.NoError(t, err)
	c.Close()
	_, _, err = Listen(path, 0o600)
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	require.NoError(t, l.Close())
	require.FileExists(t, path, "the caller's to remove")
	_, _, err = Listen("/proc/none/s", 0o600)
	require.Error(t, err)
}

// Whenever a file has another mode than it is to have, nobody is let in: watched from beside while sockets are made one after another.
func TestNobodyConnectsUnderTheUmasksMode(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0)) // a file is made with mode 0777
	const sockets = 2000
	d := dir(t)
	path := func(i int64) string { return filepath.Join(d, strconv.FormatInt(i, 10)) } // each has a name of its own
	var at atomic.Int64
	watched := make(chan error, 1)
	go func() {
		for i := at.Load(); i < sockets; i = at.Load() {
			c, err := net.Dial("unix", path(i))
			if err != nil {
				continue
			}
			c.Close()
			if now, err := os.Lstat(path(i)); err == nil && now.Mode().Perm() != 0o600 { // so it was when we connected, too
				watched <- fmt.Errorf("connected to a socket of mode %v", now.Mode())
				return
			}
		}
		watched <- nil
	}()
	for i := range int64(sockets) {
		at.Store(i)
		l, _, err := Listen(path(i), 0o600)
		require.NoError(t, err)
		require.NoError(t, l.Close())
	}
	at.Store(sockets)
	require.NoError(t, <-watched)
}

// A lock that somebody else holds for ever does not keep a daemon from starting.
func TestLockOfAStranger(t *testing.T) {
	d := dir(t)
	f, err := os.Open(d)
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, unix.Flock(int(f.Fd()), unix.LOCK_EX))
	before := time.Now()
	Lock(d)()
	require.GreaterOrEqual(t, time.Since(before), lockTime)
	require.NoError(t, f.Close())
	unlock := Lock(d)
	g, err := os.Open(d)
	require.NoError(t, err)
	defer g.Close()
	require.ErrorIs(t, unix.Flock(int(g.Fd()), unix.LOCK_EX|unix.LOCK_NB), unix.EWOULDBLOCK)
	unlock()
	require.NoError(t, unix.Flock(int(g.Fd()), unix.LOCK_EX|unix.LOCK_NB))
	Lock("/nonexistent")()
}
