package unix

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sys "golang.org/x/sys/unix"

	"github.com/xentropyd/xentropyd/internal/leaktest"
	"github.com/xentropyd/xentropyd/internal/unixsock"
	"github.com/xentropyd/xentropyd/transport"
)

// patience bounds what must happen; nothing is measured by it.
const patience = time.Minute

func listenAt(t *testing.T, o transport.ListenOptions) *listener {
	t.Helper()
	l, err := Listen(filepath.Join(t.TempDir(), "s"), o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l.(*listener)
}

// pair connects a guest and a host.
func pair(t *testing.T, l *listener) (guest *net.UnixConn, host *conn) {
	t.Helper()
	g, err := Dial(t.Context(), l.path)
	require.NoError(t, err)
	h, _, err := l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = g.Close(), h.Close() })
	return g.(*net.UnixConn), h.(*conn)
}

// A Read or Write that waits says so, and what does not wait says nothing.
func TestOnSleep(t *testing.T) {
	leaktest.Check(t)
	guest, host := pair(t, listenAt(t, transport.DefaultListenOptions()))
	asleep, awake := make(chan struct{}, 100), 0
	host.OnSleep(func(<-chan struct{}) {
		select {
		case asleep <- struct{}{}:
		default:
		}
	}, func() { awake++ })
	b := make([]byte, 5)

	_, err := guest.Write([]byte("hello"))
	require.NoError(t, err)
	_, err = host.Read(b)
	require.NoError(t, err)
	require.Empty(t, asleep)

	go func() {
		<-asleep
		_, _ = guest.Write([]byte("there"))
	}()
	_, err = io.ReadFull(host, b)
	require.NoError(t, err)
	require.Equal(t, "there", string(b))
	require.Equal(t, 1, awake)

	go func() {
		<-asleep
		_, _ = io.Copy(io.Discard, guest)
	}()
	_, err = host.Write(make([]byte, 1<<20))
	require.NoError(t, err)
	require.Greater(t, awake, 1)
}

func TestDeadlinesAndClose(t *testing.T) {
	leaktest.Check(t)
	_, host := pair(t, listenAt(t, transport.DefaultListenOptions()))
	require.NoError(t, host.SetReadDeadline(time.Unix(1, 0)))
	_, err := host.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.NoError(t, host.SetReadDeadline(time.Time{}))
	require.NoError(t, host.SetWriteDeadline(time.Now().Add(10*time.Millisecond)))
	n, err := host.Write(make([]byte, 1<<20))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.Less(t, n, 1<<17, "what a guest does not read")
	read := make(chan error)
	go func() { _, err := host.Read(make([]byte, 1)); read <- err }()
	require.NoError(t, host.Close())
	require.ErrorIs(t, <-read, net.ErrClosed)
	require.ErrorIs(t, host.Close(), net.ErrClosed, "again")
	_, err = host.Write([]byte{1})
	require.ErrorIs(t, err, net.ErrClosed)
}

// A user has so many connections, and those count that are over but for what
// the guest has not read.
func TestHeld(t *testing.T) {
	leaktest.Check(t)
	o := transport.DefaultListenOptions()
	o.Held = 2
	refused := make(chan error, 100)
	o.Refused = func(_ transport.Peer, err error) { refused <- err }
	l := listenAt(t, o)
	first, host := pair(t, l)
	_, err := host.Write([]byte("unread"))
	require.NoError(t, err)
	require.NoError(t, host.Close())
	second, host2 := pair(t, l)

	accepted := make(chan transport.Conn, 1)
	go func() {
		c, _, err := l.Accept()
		if err == nil {
			accepted <- c
		}
		close(accepted)
	}()
	third, err := Dial(t.Context(), l.path)
	require.NoError(t, err)
	require.ErrorIs(t, <-refused, errHeld)
	_, err = third.Read(make([]byte, 1))
	require.Error(t, err, "it is closed")
	_ = third.Close()

	_, err = io.ReadAll(first)
	require.NoError(t, err)
	require.Eventually(t, func() bool { // its place is free by and by
		c, err := Dial(t.Context(), l.path)
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.Close() })
		select {
		case h := <-accepted:
			_ = h.Close()
			return true
		case <-time.After(100 * time.Millisecond):
			return false
		}
	}, patience, time.Millisecond)
	_, _ = second.Close(), host2.Close()
}

// Urgent data wakes a reader for nothing: the guest is blamed for too much of
// it.
func TestWokenForNothing(t *testing.T) {
	leaktest.Check(t)
	guest, host := pair(t, listenAt(t, transport.DefaultListenOptions()))
	raw, err := guest.SyscallConn()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		var sent error
		for sent == nil || sent == sys.EAGAIN {
			_ = raw.Control(func(fd uintptr) {
				sent = sys.Sendto(int(fd), []byte{1}, sys.MSG_OOB|sys.MSG_DONTWAIT|sys.MSG_NOSIGNAL, nil)
			})
			if ctx.Err() != nil {
				break
			}
			time.Sleep(time.Millisecond)
		}
		done <- sent
		if sent == sys.EOPNOTSUPP {
			_ = guest.Close()
		}
	}()
	buf := make([]byte, 64)
	for {
		if _, err = host.Read(buf); err != nil {
			break
		}
	}
	cancel()
	if <-done == sys.EOPNOTSUPP {
		t.Skip("this kernel has no urgent data on Unix sockets (CONFIG_AF_UNIX_OOB)")
	}
	require.True(t, transport.Hostile(err), "%v", err)
}

// Descriptors that a guest sends come into no table of ours.
func TestDescriptors(t *testing.T) {
	for name, refuse := range map[string]bool{"this kernel": true, "before 6.16": false} {
		t.Run(name, func(t *testing.T) {
			unixsock.PassRights = refuse
			t.Cleanup(func() { unixsock.PassRights = true })
			leaktest.Check(t)
			l := listenAt(t, transport.DefaultListenOptions())
			guest, host := pair(t, l)
			_, _, err := guest.WriteMsgUnix([]byte("x"), sys.UnixRights(0), nil)
			if l.Slots() == nil {
				require.ErrorIs(t, err, sys.EPERM)
				return
			}
			require.NoError(t, err)
			asleep, awake := 0, 0
			host.OnSleep(func(<-chan struct{}) { asleep++ }, func() { awake++ })
			_, err = io.ReadFull(host, make([]byte, 1))
			require.NoError(t, err)
			require.Equal(t, []int{1, 1}, []int{asleep, awake}, "the read may be held up")
			_, _ = guest.Close(), host.Close()
			require.NoError(t, l.Close())
			require.Eventually(t, l.Slots().Idle, patience, time.Millisecond)
		})
	}
}

// Who has shut down its reading, and sends, is found and kept out for a while.
func TestShutReading(t *testing.T) {
	leaktest.Check(t)
	l := listenAt(t, transport.DefaultListenOptions())
	guest, host := pair(t, l)
	require.NoError(t, guest.CloseRead())
	_, err := io.Copy(io.Discard, host)
	require.ErrorIs(t, err, errShut)
	require.True(t, transport.Hostile(err))
}
