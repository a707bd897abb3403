package local

import (
	"encoding/binary"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// winRace makes every write to the eventfd that r gave for itself one that
// does not return: r clears O_NONBLOCK just after we looked, and its counter
// is full. It gives the number of races won.
func winRace(t *testing.T, r *rogue) *atomic.Int32 {
	var won atomic.Int32
	fill(t, r.toGuest)
	hook := func() {
		won.Add(1)
		setBlocking(t, r.toGuest)
	}
	beforeAdd.Store(&hook)
	t.Cleanup(func() { beforeAdd.Store(nil) })
	return &won
}

// within gives up on what hangs, so that a failure has a name. No honest run comes near.
func within(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal(what, "hangs")
	}
}

func TestHandshakeIsNotHeldUp(t *testing.T) {
	t.Run("accepted", func(t *testing.T) {
		leaveNothing(t)
		l := listenAt(t, ListenOptions{})
		r := newRogue(t, DefaultOrders)
		won := winRace(t, r)
		r.dial(t, l.path)
		within(t, "the handshake", func() {
			require.Empty(t, r.say(t, encodeOffer(), r.memfd, r.toHost, r.toGuest))
		})
		require.Zero(t, won.Load(), "nothing was written")
		within(t, "the listener's Close", func() { require.NoError(t, l.Close()) }) // nobody accepts
		require.Zero(t, won.Load(), "nothing was written")
	})
	t.Run("given up", func(t *testing.T) {
		leaveNothing(t)
		refused := make(chan error, 1)
		l := listenAt(t, ListenOptions{MaxPending: 1, Refused: func(_ Peer, err error) { refused <- err }})
		r := newRogue(t, DefaultOrders)
		won := winRace(t, r)
		r.dial(t, l.path)
		require.NoError(t, r.uc.CloseRead()) // the host's answer has nowhere to go
		_, _, err := r.uc.WriteMsgUnix(encodeOffer(), unix.UnixRights(r.memfd, r.toHost, r.toGuest), nil)
		require.NoError(t, err)
		within(t, "the handshake", func() { require.ErrorIs(t, <-refused, unix.EPIPE) })
		require.Zero(t, won.Load(), "nothing was written")
		next := newRogue(t, DefaultOrders) // the place is free again
		next.dial(t, l.path)
		within(t, "the next handshake", func() {
			require.Empty(t, next.say(t, encodeOffer(), next.memfd, next.toHost, next.toGuest))
		})
		require.NoError(t, l.Close())
	})
}

// A descriptor that cannot be closed (a FUSE file's server never answers) costs
// a thread, but no place in the queue, and its user soon gets no further.
func TestDescriptorThatHoldsUpClose(t *testing.T) {
	leaveNothing(t)
	release := make(chan bool)
	closeFD = func(fd int) error {
		if to, _ := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd)); to == os.DevNull {
			<-release
		}
		return unix.Close(fd)
	}
	t.Cleanup(func() { closeFD = unix.Close })
	null, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer func() { _ = null.Close() }()
	refused := make(chan error, heldUser+2)
	l := listenAt(t, ListenOptions{
		MaxPending: heldUser, HandshakeTimeout: time.Second / 2,
		Refused: func(_ Peer, err error) { refused <- err },
	})
	r := newRogue(t, DefaultOrders)
	fd := int(null.Fd())
	dial := func() {
		r.dial(t, l.path)
		c := r.uc
		t.Cleanup(func() { _ = c.Close() })
	}
	for range heldUser {
		dial()
		_, _, err := r.uc.WriteMsgUnix(encodeOffer(), unix.UnixRights(fd), nil)
		require.NoError(t, err)
	}
	for range heldUser {
		within(t, "the handshake", func() { require.ErrorIs(t, <-refused, errHeldUp) })
	}
	dial()
	require.ErrorIs(t, <-refused, errHolding)
	l.held.mu.Lock()
	require.Equal(t, heldUser, l.held.all)
	l.held.mu.Unlock()
	require.NoError(t, l.held.check(12345), "others come through")
	within(t, "the listener's Close", func() { require.NoError(t, l.Close()) })
	close(release)
	for l.held.check(uint32(os.Getuid())) != nil {
		time.Sleep(time.Millisecond)
	}
}

func TestHeldByAll(t *testing.T) {
	var h held
	other := uint32(os.Geteuid()) + 1
	h.add(other+1, heldAll-1)
	require.NoError(t, h.check(other))
	h.add(other+2, 1)
	require.ErrorIs(t, h.check(other), errHolding)
	require.NoError(t, h.check(uint32(os.Geteuid())))
	require.NoError(t, h.check(0))
	h.add(other+2, -1)
	require.NoError(t, h.check(other))
}

// Close waits neither for the peer nor for the watcher to find it out.
func TestCloseIsNotHeldUp(t *testing.T) {
	for name, writers := range map[string]int{"by a full counter": 0, "by writers that fill it again": 16} {
		t.Run(name, func(t *testing.T) {
			leaveNothing(t)
			l := listenAt(t, ListenOptions{})
			r, c := connectRogue(t, l, DefaultOrders)
			require.NoError(t, l.watch.file.SetReadDeadline(time.Time{})) // no rounds of its own
			won := winRace(t, r)
			setBlocking(t, r.toGuest)
			var stop atomic.Bool
			var wg sync.WaitGroup
			for range writers {
				wg.Go(func() {
					for !stop.Load() {
						setBlocking(t, r.toGuest)
						_, _ = unix.Write(r.toGuest, fullCounter())
					}
				})
			}
			setNonblock(r.toGuest)
			within(t, "Close", func() { require.NoError(t, c.Close()) })
			if writers == 0 {
				require.EqualValues(t, 1, won.Load())
			}
			stop.Store(true)
			done := make(chan bool, 1)
			go func() { wg.Wait(); done <- true }()
			for l.watch.count() > 0 || len(done) == 0 {
				setNonblock(r.toGuest)
				_, _ = unix.Read(r.toGuest, make([]byte, 8))
				l.watch.round()
			}
		})
	}
}

func (w *watcher) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.links)
}

// Who dozes is roused by nothing that the peer has or sees.
func TestRouse(t *testing.T) {
	leaveNothing(t)
	l := listenAt(t, ListenOptions{})
	r, c := connectRogue(t, l, DefaultOrders)
	var e *events
	for _, k := range l.watch.links {
		e = k.events
	}
	b := takeBed()
	require.NotNil(t, b)
	e.bed.Store(b)
	e.rouse()
	e.bed.Store(nil)
	_, err := unix.Read(r.toHost, make([]byte, 8))
	require.ErrorIs(t, err, unix.EAGAIN, "the peer's eventfd is untouched")
	p := []unix.PollFd{{Fd: int32(b.fd), Events: unix.POLLIN}}
	n, err := unix.Poll(p, 0)
	require.NoError(t, err)
	require.Equal(t, 1, n, "the dozer is awake")
	b.give()

	// The rouse was late: the next dozer is awake early, and waits on.
	require.NoError(t, e.SetWaitDeadline(time.Now().Add(30*time.Millisecond)))
	require.ErrorIs(t, e.Wait(), os.ErrDeadlineExceeded)
	n, err = unix.Poll(p, 0)
	require.NoError(t, err)
	require.Zero(t, n, "once")
	b.rouse()
	require.NoError(t, e.SetWaitDeadline(time.Time{}))
	require.NoError(t, addOne(r.toHost))
	require.NoError(t, e.Wait())

	require.NoError(t, c.Close())
	require.NoError(t, l.Close())
	for i := range beds {
		require.Negative(t, beds[i].fd, "the last channel takes the beds along")
	}
}

// No more threads doze than there are beds.
func TestBeds(t *testing.T) {
	enterBeds()
	defer leaveBeds()
	var taken []*bed
	for range beds {
		taken = append(taken, takeBed())
		require.NotNil(t, taken[len(taken)-1])
	}
	require.Nil(t, takeBed())
	taken[0].give()
	require.Same(t, taken[0], takeBed())
	for _, b := range taken {
		b.give()
	}
}

func fullCounter() []byte {
	return binary.NativeEndian.AppendUint64(nil, 1<<64-2)
}
