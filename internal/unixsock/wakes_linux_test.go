package unixsock

import (
	"io"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// connected gives our end of a connection, and the other one.
func connected(t *testing.T) (ours, other *net.UnixConn) {
	var ends [2]*net.UnixConn
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	for i, fd := range fds {
		ends[i] = asConn(t, fd)
	}
	return ends[0], ends[1]
}

func onFD(t *testing.T, c *net.UnixConn, do func(fd int) error) error {
	raw, err := c.SyscallConn()
	require.NoError(t, err)
	require.NoError(t, raw.Control(func(fd uintptr) { err = do(int(fd)) }))
	return err
}

func TestLimitWakes(t *testing.T) {
	ours, other := connected(t)
	c, err := LimitWakes(ours)
	require.NoError(t, err)
	_, err = other.Write([]byte("hello"))
	require.NoError(t, err)
	b := make([]byte, 8)
	n, err := c.Read(b)
	require.NoError(t, err)
	require.Equal(t, "hello", string(b[:n]))
	n, err = c.Read(nil)
	require.NoError(t, err)
	require.Zero(t, n)
	require.NoError(t, c.SetReadDeadline(time.Unix(1, 0)))
	_, err = c.Read(b)
	var timeout net.Error
	require.ErrorAs(t, err, &timeout)
	require.True(t, timeout.Timeout())
	require.NoError(t, c.SetReadDeadline(time.Time{}))

	read := make(chan error, 1)
	go func() {
		for { // urgent data that the next one has overtaken is read as any other
			if _, err := c.Read(b); err != nil {
				read <- err
				return
			}
		}
	}()
	for done := false; !done; {
		err := onFD(t, other, func(fd int) error {
			return unix.Sendto(fd, []byte{0},
				unix.MSG_OOB|unix.MSG_DONTWAIT, nil)
		})
		if err == unix.EOPNOTSUPP {
			t.Skip("this kernel has no urgent data on Unix sockets (CONFIG_AF_UNIX_OOB)")
		}
		select {
		case err := <-read:
			require.ErrorIs(t, err, ErrWakes)
			done = true
		case <-time.After(time.Millisecond): // the reader has its turn
		}
	}

	ours, other = connected(t)
	c, err = LimitWakes(ours)
	require.NoError(t, err)
	require.NoError(t, other.Close())
	_, err = c.Read(b)
	require.ErrorIs(t, err, io.EOF)
	require.NoError(t, c.Close())
	_, err = c.Read(b)
	require.ErrorIs(t, err, net.ErrClosed)
}

// What is sent at once is so little that the kernel copies it.
func TestWritesSmallPieces(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	ours, other := asConn(t, fds[0]), asConn(t, fds[1])
	c, err := LimitWakes(ours)
	require.NoError(t, err)
	want := make([]byte, 2*WriteMost+7)
	for i := range want {
		want[i] = byte(i * i)
	}
	n, err := c.Write(want)
	require.NoError(t, err)
	require.Len(t, want, n)
	var got []byte
	for len(got) < len(want) {
		b := make([]byte, len(want))
		n, err := other.Read(b)
		require.NoError(t, err)
		require.LessOrEqual(t, n, WriteMost)
		got = append(got, b[:n]...)
	}
	require.Equal(t, want, got)
}

func TestIsDeaf(t *testing.T) {
	for name, c := range map[string]struct {
		do    func(other *net.UnixConn) error
		found bool
	}{
		"well":              {func(*net.UnixConn) error { return nil }, false},
		"reads nothing":     {(*net.UnixConn).CloseRead, true},
		"sends nothing":     {(*net.UnixConn).CloseWrite, false},
		"hung up":           {(*net.UnixConn).Close, false},
		"has sent, is gone": {func(c *net.UnixConn) error { _, _ = c.Write([]byte{1}); return c.Close() }, false},
		"has sent, reads no more": {func(c *net.UnixConn) error {
			_,
				_ = c.Write([]byte{1})
			return c.CloseRead()
		}, true},
		"neither reads more": {func(c *net.UnixConn) error { _ = c.CloseRead(); return c.CloseWrite() }, false},
	} {
		t.Run(name, func(t *testing.T) {
			ours, other := connected(t)
			require.NoError(t, c.do(other))
			require.NoError(t, onFD(t, ours, func(fd int) error {
				require.Equal(t, c.found, hasShutReading(fd))
				return nil
			}))
			if name == "well" {
				require.NoError(t, other.SetReadDeadline(time.Now().Add(time.Millisecond)))
				_, err := other.Read(make([]byte, 1))
				require.Error(t, err, "nothing was sent")
			}
		})
	}
}

func TestWatch(t *testing.T) {
	ours, other := connected(t)
	well, _ := connected(t)
	synctest.Test(t, func(t *testing.T) {
		var w Watch
		var found atomic.Int32
		raw, err := ours.SyscallConn()
		require.NoError(t, err)
		fine, err := well.SyscallConn()
		require.NoError(t, err)
		w.Add(raw, func() { found.Add(1) })
		w.Add(fine, func() { t.Error("it is well") })
		time.Sleep(3 * watchEvery)
		synctest.Wait()
		require.Zero(t, found.Load())
		require.NoError(t, other.CloseRead())
		time.Sleep(3 * watchEvery)
		synctest.Wait()
		require.EqualValues(t, 1, found.Load(), "said once")
		w.Remove(raw)
		w.Remove(fine)
		require.Nil(t, w.timer)
	})
}

func TestAllRead(t *testing.T) {
	ours, other := connected(t)
	is := func() (all bool) {
		require.NoError(t, onFD(t, ours, func(fd int) error { all = AllRead(fd); return nil }))
		return all
	}
	require.True(t, is())
	_, err := ours.Write([]byte("xy"))
	require.NoError(t, err)
	require.False(t, is())
	_, err = other.Read(make([]byte, 1))
	require.NoError(t, err)
	require.False(t, is())
	_, err = other.Read(make([]byte, 1))
	require.NoError(t, err)
	require.True(t, is())
	_, err = ours.Write([]byte("xy"))
	require.NoError(t, err)
	require.NoError(t, other.Close())
	require.True(t, is())
	require.True(t, AllRead(-1))
}

func asConn(t *testing.T, fd int) *net.UnixConn {
	f := os.NewFile(uintptr(fd), "socket")
	defer f.Close()
	c, err := net.FileConn(f)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c.(*net.UnixConn)
}

// A byte in between does not make up for many wake-ups.
func TestWakesAddUp(t *testing.T) {
	for vain, tooMuch := range map[int]bool{1: false, 2: false, 3: true, 99: true} {
		var w Wakes
		found := false
		for range 1000 {
			for range vain {
				found = w.Vain() || found
			}
			w.Useful()
		}
		require.Equal(t, tooMuch, found, "%d each time", vain)
	}
}
