package local

import (
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/xentropyd/xentropyd/internal/leaktest"
	"github.com/xentropyd/xentropyd/internal/unixsock"
	"github.com/xentropyd/xentropyd/transport/internal/socket"
	"github.com/xentropyd/xentropyd/vchan"
)

// lingering makes a TCP socket whose close takes as long as nobody reads at its
// other end: the last one to drop it waits.
func lingering(t *testing.T) (fd int) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	at := l.Addr().(*net.TCPAddr)
	require.NoError(t, unix.Connect(fd, &unix.SockaddrInet4{Port: at.Port, Addr: [4]byte{127, 0, 0, 1}}))
	far, err := l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { _ = far.Close() })
	require.NoError(t, unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 600}))
	require.NoError(t, unix.SetNonblock(fd, true))
	for b := make([]byte, 64<<10); ; {
		if _, err := unix.Write(fd, b); err != nil {
			return fd
		}
	}
}

// usersPlaces is handsUser of internal/unixsock.
const usersPlaces = 4

// oldKernel has the listeners of a test do as before Linux 6.16.
func oldKernel(t *testing.T) {
	unixsock.PassRights = false
	t.Cleanup(func() { unixsock.PassRights = true })
}

func TestKernelRefusesDescriptors(t *testing.T) {
	leaktest.Check(t)
	l := listenAt(t, options{})
	if l.Slots() != nil {
		t.Skip("this kernel is older than 6.16: it has no SO_PASSRIGHTS")
	}
	nc, err := net.Dial("unix", l.path)
	require.NoError(t, err)
	defer nc.Close()
	// Before Accept, and after.
	_, _, err = nc.(*net.UnixConn).WriteMsgUnix([]byte{1}, unix.UnixRights(0), nil)
	require.ErrorIs(t, err, unix.EPERM)
	c, _, err := accept(l)
	require.NoError(t, err)
	defer c.Close()
	_, _, err = nc.(*net.UnixConn).WriteMsgUnix([]byte{1}, unix.UnixRights(0), nil)
	require.ErrorIs(t, err, unix.EPERM)
}

// threadsIn counts the threads of this process that wait in a kernel function
// of that name.
func threadsIn(t *testing.T, name string) (n int) {
	tasks, err := os.ReadDir("/proc/self/task")
	require.NoError(t, err)
	for _, task := range tasks {
		b, _ := os.ReadFile("/proc/self/task/" + task.Name() + "/wchan")
		if strings.Contains(string(b), name) {
			n++
		}
	}
	return n
}

// On an older kernel sockets that linger, sent with the events, hold up the
// reads that drop them for a moment each, no more than usersPlaces at a time,
// and neither another channel nor any Close.
func TestLingeringDescriptors(t *testing.T) {
	oldKernel(t)
	leaktest.Check(t)
	l := listenAt(t, options{})
	const channels = 3 * usersPlaces
	var wg sync.WaitGroup
	var conns []*vchan.Conn
	for range channels {
		r, c := newRogue(t, l)
		conns = append(conns, c)
		for range 3 {
			fd := lingering(t)
			_, _, err := r.uc.WriteMsgUnix([]byte{1}, unix.UnixRights(fd), nil)
			require.NoError(t, err)
			require.NoError(t, unix.Close(fd)) // the message has the last one
		}
		wg.Go(func() { _, _ = c.Read(make([]byte, 1)) })
	}
	most := 0
	for range 100 {
		most = max(most, threadsIn(t, "wait_woken"), threadsIn(t, "sk_stream_wait_close"))
		time.Sleep(time.Millisecond)
	}
	require.LessOrEqual(t, most, usersPlaces)
	for _, c := range conns {
		_ = c.Close()
	}
	wg.Wait() // ended by Close, not by the ten minutes
	require.NoError(t, l.Close())
	require.Eventually(t, l.Slots().Idle, time.Minute, time.Millisecond, "all is dropped in the end")
}

// The same for a socket that is closed with such descriptors in it, by Accept's
// refusal and by Listener.Close.
func TestLingeringDescriptorsUnread(t *testing.T) {
	oldKernel(t)
	leaktest.Check(t)
	l := listenAt(t, options{Allow: func(uint32, []uint32) bool { return false }})
	send := func() *net.UnixConn {
		nc, err := net.Dial("unix", l.path)
		require.NoError(t, err)
		fd := lingering(t)
		_, _, err = nc.(*net.UnixConn).WriteMsgUnix([]byte{1}, unix.UnixRights(fd), nil)
		require.NoError(t, err)
		require.NoError(t, unix.Close(fd))
		return nc.(*net.UnixConn)
	}
	guests := []*net.UnixConn{send(), send(), send()}
	accepted := make(chan error, 1)
	go func() { _, _, err := l.Accept(); accepted <- err }()
	for _, nc := range guests {
		_, err := receive(nc)
		require.ErrorContains(t, err, socket.ErrNotAllowed.Error())
		require.NoError(t, nc.Close())
	}
	require.NoError(t, l.Close())
	require.ErrorIs(t, <-accepted, net.ErrClosed)

	l = listenAt(t, options{})
	defer send().Close() // nobody accepts it
	require.NoError(t, l.Close(), "without the wait of ten minutes")
}

// Everything else works there, too.
func TestExchangeOnOldKernel(t *testing.T) {
	oldKernel(t)
	TestCloseFromEitherSide(t)
	TestExchange(t)
}
