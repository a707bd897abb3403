package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/xentropyd/xentropyd/internal/leaktest"
	"github.com/xentropyd/xentropyd/internal/lend"
	"github.com/xentropyd/xentropyd/transport"
	"github.com/xentropyd/xentropyd/transport/internal/socket"
	"github.com/xentropyd/xentropyd/vchan"
	"github.com/xentropyd/xentropyd/vchan/ring"
)

// rogue is a guest that keeps what the host gave it in its own hands.
type rogue struct {
	uc    *net.UnixConn
	page  page
	memfd int
}

// newRogue connects one that has done all that it must, and been admitted.
func newRogue(t testing.TB, l *listener) (*rogue, *vchan.Conn) {
	t.Helper()
	r, c := newUnsealed(t, l)
	r.page[0] = 1
	r.seal(t)
	_, err := r.uc.Write([]byte{1})
	require.NoError(t, err)
	look(t, c)
	_, err = io.ReadFull(r.uc, make([]byte, 1))
	require.NoError(t, err)
	return r, c
}

// look has a Conn look whether its memory may be touched.
func look(t testing.TB, c *vchan.Conn) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, c.Wait(ctx), context.Canceled)
}

func (r *rogue) seal(t testing.TB) {
	if lend.CanSeal() {
		_, err := unix.FcntlInt(uintptr(r.memfd), unix.F_ADD_SEALS, lend.MappedSeals)
		require.NoError(t, err)
	}
}

// newUnsealed connects one that has only mapped the memory.
func newUnsealed(t testing.TB, l *listener) (*rogue, *vchan.Conn) {
	t.Helper()
	nc, err := net.Dial("unix", l.path)
	require.NoError(t, err)
	r := &rogue{uc: nc.(*net.UnixConn)}
	c, _, err := accept(l)
	require.NoError(t, err)
	r.memfd, err = receive(r.uc)
	require.NoError(t, err)
	r.page, err = mapPage(r.memfd)
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = c.Close()
		_ = r.uc.Close()
		_ = r.forget()
	})
	return r, c
}

// forget gives the memory back.
func (r *rogue) forget() error {
	if r.page == nil {
		return nil
	}
	err := errors.Join(unix.Close(r.memfd), r.page.Close())
	r.page = nil
	return err
}

func (r *rogue) word(at int) *atomic.Uint32 { return (*atomic.Uint32)(unsafe.Pointer(&r.page[at])) }

// What a guest can do to the host's memory with the descriptor it got.
func TestMemoryCannotBeResized(t *testing.T) {
	leaktest.Check(t)
	r, c := newRogue(t, listenAt(t, options{}))
	for _, size := range []int64{0, ring.PageSize - 1, ring.PageSize + 1} {
		require.ErrorIs(t, unix.Ftruncate(r.memfd, size), unix.EPERM)
	}
	require.Error(t, unix.Fallocate(r.memfd, 0, ring.PageSize, ring.PageSize))
	_, err := unix.FcntlInt(uintptr(r.memfd), unix.F_ADD_SEALS, unix.F_SEAL_WRITE)
	require.ErrorIs(t, err, unix.EPERM)
	require.Zero(t, c.Buffered())
}

// Holes killed the carrier before this one, and froze its threads. The host
// does not touch a page in which a guest can make any.
func TestNoHolesInWhatTheHostTouches(t *testing.T) {
	leaktest.Check(t)
	if !lend.CanSeal() {
		t.Skip("this kernel is older than 5.1: it has no F_SEAL_FUTURE_WRITE")
	}
	l := listenAt(t, options{})
	punch := func(r *rogue) error {
		return unix.Fallocate(r.memfd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, ring.PageSize)
	}
	// Before the seals: what the guest does with the page is nothing to the
	// host.
	r, c := newUnsealed(t, l)
	require.NoError(t, punch(r))
	require.False(t, c.Connected())
	require.Zero(t, c.Buffered())
	require.NoError(t, c.SetDeadline(time.Now().Add(5*time.Millisecond)))
	_, err := c.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	_, err = c.Write(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	resident := make([]byte, 1)
	_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&r.page[0])), ring.PageSize,
		uintptr(unsafe.Pointer(&resident[0])))
	require.Zero(t, errno)
	require.Zero(t, resident[0]&1, "nobody has filled the hole")
	require.NoError(t, c.Close())
	_, _, errno = unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&r.page[0])), ring.PageSize,
		uintptr(unsafe.Pointer(&resident[0])))
	require.Zero(t, errno)
	require.Zero(t, resident[0]&1, "not at the end either")

	// An event without the seals is a lie.
	r, c = newUnsealed(t, l)
	_, err = r.uc.Write([]byte{1})
	require.NoError(t, err)
	_, err = c.Read(make([]byte, 1))
	require.ErrorIs(t, err, vchan.ErrViolation)
	require.NoError(t, punch(r))

	// Nor do the seals help while there is a hole: it would be filled at the
	// host's expense.
	for _, event := range []bool{false, true} {
		r, c = newUnsealed(t, l)
		r.page[0] = 1
		require.NoError(t, punch(r))
		r.seal(t)
		if event {
			_, err = r.uc.Write([]byte{1})
			require.NoError(t, err)
		}
		_, err = c.Read(make([]byte, 1))
		require.ErrorIs(t, err, vchan.ErrViolation)
		require.ErrorContains(t, err, "touched")
		touched, err := lend.Touched(r.memfd)
		require.NoError(t, err)
		require.False(t, touched)
	}

	// With them there is no hole to be made.
	r, c = newRogue(t, l)
	require.NoError(t, c.SetDeadline(time.Now().Add(5*time.Millisecond)))
	_, err = c.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.ErrorIs(t, punch(r), unix.EPERM)
	require.ErrorIs(t, unix.Madvise(r.page, unix.MADV_REMOVE), unix.EPERM)
}

// locked is how much memory of ours cannot be swapped out, bytes.
func locked(t *testing.T) (n int) {
	text, err := os.ReadFile("/proc/self/status")
	require.NoError(t, err)
	i := bytes.Index(text, []byte("VmLck:"))
	require.GreaterOrEqual(t, i, 0)
	_, err = fmt.Sscanf(string(text[i:]), "VmLck: %d", &n)
	require.NoError(t, err)
	return n << 10
}

// A guest that has its memory swapped out would have the host wait for the
// disk. While it has the page the host does not let it go.
func TestPageIsNotSwappedOut(t *testing.T) {
	leaktest.Check(t)
	var lim unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_MEMLOCK, &lim))
	if lim.Cur < 1<<20 {
		t.Skip("too little memory may be locked: run it after ulimit -l 1024")
	}
	before := locked(t)
	r, c := newRogue(t, listenAt(t, options{}))
	require.Equal(t, before+ring.PageSize, locked(t))
	require.NoError(t, c.Close())
	require.NoError(t, r.forget())
	require.Equal(t, before, locked(t))
}

// A guest that keeps the memory of channels that are over gets no more of it.
func TestKeptMemoryIsCounted(t *testing.T) {
	leaktest.Check(t)
	refused := make(chan error, 1)
	l := listenAt(t, options{Held: 3, Refused: func(_ transport.Peer, err error) { refused <- err }})
	if l.lender == nil {
		t.Skip("this machine cannot count who has memory: it has no /proc or no inotify")
	}
	var kept []int
	for range 3 {
		r, c := newRogue(t, l)
		copied, err := unix.FcntlInt(uintptr(r.memfd), unix.F_DUPFD_CLOEXEC, 3)
		require.NoError(t, err)
		kept = append(kept, copied)
		require.NoError(t, c.Close())
		require.NoError(t, r.uc.Close())
	}
	require.Equal(t, 3, l.lender.Held(uint32(os.Getuid())))
	done := make(chan struct{})
	go func() { defer close(done); _, _, _ = l.Accept() }()
	_, err := Dial(t.Context(), l.path)
	re := new(RefusedError)
	require.ErrorAs(t, err, &re)
	require.True(t, re.Busy)
	require.ErrorIs(t, <-refused, lend.ErrTooMany)
	for _, fd := range kept {
		require.NoError(t, unix.Close(fd))
	}
	require.NoError(t, l.Close())
	<-done
}

// So does one that keeps its socket with what the host sent and it has not
// read, which is the host's memory.
func TestUnreadEventsAreCounted(t *testing.T) {
	leaktest.Check(t)
	l := listenAt(t, options{})
	if l.lender == nil {
		t.Skip("this machine cannot count who has memory: it has no /proc or no inotify")
	}
	held := func() int { return l.lender.Held(uint32(os.Getuid())) }
	for name, read := range map[string]func(uc *net.UnixConn) error{
		"closes": func(uc *net.UnixConn) error { return uc.Close() },
		"reads":  func(uc *net.UnixConn) error { _, err := io.Copy(io.Discard, uc); return err },
	} {
		t.Run(name, func(t *testing.T) {
			r, c := newRogue(t, l)
			r.word(20).Or(1 << 24) // srv_notify: tell me when you write
			_, err := c.Write([]byte("x"))
			require.NoError(t, err)
			require.NoError(t, c.Close())
			require.NoError(t, r.forget())
			require.Equal(t, 1, held())
			require.NoError(t, read(r.uc))
			require.Zero(t, held())
		})
	}
}

// A guest that sends events without end, and moves nothing, loses its channel.
func TestEventFlood(t *testing.T) {
	leaktest.Check(t)
	r, c := newRogue(t, listenAt(t, options{}))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			if _, err := r.uc.Write([]byte{1}); err != nil {
				return
			}
		}
	}()
	_, err := c.Read(make([]byte, 1))
	require.ErrorIs(t, err, vchan.ErrViolation)
	<-done // the channel is closed, and so is the socket
}

// A guest that never reads its events holds up nobody who sends them.
func TestFullSocketDoesNotBlock(t *testing.T) {
	leaktest.Check(t)
	r, c := newRogue(t, listenAt(t, options{}))
	for i := range 5000 { // more than a socket holds
		r.word(20).Or(1 << 24) // srv_notify: tell me when you write
		n, err := c.Write([]byte{byte(i)})
		require.NoError(t, err)
		require.Equal(t, 1, n)
		r.word(8).Add(1) // right.cons
	}
	require.NoError(t, r.uc.SetReadDeadline(time.Now().Add(time.Second)))
	n, err := r.uc.Read(make([]byte, 64))
	require.NoError(t, err)
	require.Less(t, n, 32, "they are the host's memory")
}

// A guest that wakes the host for nothing loses its channel.
func TestUrgentData(t *testing.T) {
	leaktest.Check(t)
	r, c := newRogue(t, listenAt(t, options{}))
	raw, err := r.uc.SyscallConn()
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() {
		for {
			var sent error
			if err := raw.Control(func(fd uintptr) {
				sent = unix.Sendto(int(fd), []byte{1}, unix.MSG_OOB|unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT, nil)
			}); err != nil {
				sent = err
			}
			switch sent {
			case nil, unix.EAGAIN:
				time.Sleep(10 * time.Microsecond) // the host is to be woken by each
			case unix.EOPNOTSUPP, unix.EPIPE, unix.ECONNRESET:
				_ = r.uc.CloseWrite() // then Read ends in any case
				done <- sent
				return
			}
		}
	}()
	_, err = c.Read(make([]byte, 1))
	_ = c.Close()
	if sent := <-done; sent == unix.EOPNOTSUPP {
		t.Skip("this kernel has no urgent data on Unix sockets (CONFIG_AF_UNIX_OOB)")
	}
	require.ErrorIs(t, err, vchan.ErrViolation)
}

// A guest can wake the host's poller without end by shutting down its reading,
// on nobody's account. It is found, and its user comes no more for a while.
func TestReadingShutDown(t *testing.T) {
	leaktest.Check(t)
	refused := make(chan error, 1)
	l := listenAt(t, options{Refused: func(_ transport.Peer, err error) { refused <- err }})
	r, c := newRogue(t, l)
	read := make(chan error, 1)
	go func() { _, err := c.Read(make([]byte, 1)); read <- err }()
	require.NoError(t, r.uc.CloseRead())
	require.ErrorIs(t, <-read, vchan.ErrViolation)
	done := make(chan struct{})
	go func() { defer close(done); _, _, _ = l.Accept() }()
	_, err := Dial(t.Context(), l.path)
	require.ErrorAs(t, err, new(*RefusedError))
	require.ErrorIs(t, <-refused, socket.ErrTooFast)
	require.NoError(t, l.Close())
	<-done
}

// A guest that hangs up at any moment is gone, and says so once.
func TestHangUp(t *testing.T) {
	leaktest.Check(t)
	l := listenAt(t, options{})
	for _, early := range []bool{true, false} {
		r, c := newRogue(t, l)
		read := make(chan error, 1)
		go func() { _, err := c.Read(make([]byte, 1)); read <- err }()
		if !early {
			_, _ = r.uc.Write([]byte{1, 2, 3})
		}
		require.NoError(t, r.uc.Close())
		require.ErrorContains(t, <-read, "EOF")
		_, err := c.Write([]byte("x"))
		require.ErrorIs(t, err, vchan.ErrPeerGone)
	}
}

// A guest that says nothing and does nothing: Accept does not wait for it, and
// Close ends its channel.
func TestSilentGuests(t *testing.T) {
	leaktest.Check(t)
	l := listenAt(t, options{})
	var all []*vchan.Conn
	for range 100 {
		nc, err := net.Dial("unix", l.path)
		require.NoError(t, err)
		defer nc.Close()
		c, _, err := accept(l)
		require.NoError(t, err)
		all = append(all, c)
	}
	for _, c := range all {
		require.NoError(t, c.Close())
	}
}

// A guest that hangs up before it is answered, or does not want to hear the
// answer, is no guest and no news.
func TestDeafGuest(t *testing.T) {
	leaktest.Check(t)
	l := listenAt(t, options{Refused: func(_ transport.Peer, err error) { t.Error(err) }})
	for _, hangUp := range []func(*net.UnixConn) error{(*net.UnixConn).Close, (*net.UnixConn).CloseRead} {
		nc, err := net.Dial("unix", l.path)
		require.NoError(t, err)
		defer nc.Close()
		require.NoError(t, hangUp(nc.(*net.UnixConn)))
	}
	_, c := newRogue(t, l) // behind them
	require.NoError(t, c.SetReadDeadline(time.Unix(1, 0)))
	_, err := c.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
}

// Everything in the page and on the socket changes all the time: the host
// reads, writes and closes, and nothing else happens. With XENTROPYD_SOAK=60s
// it goes on for so long.
func TestHostileRing(t *testing.T) {
	leaktest.Check(t)
	rounds := 200
	var until time.Time
	if s := os.Getenv("XENTROPYD_SOAK"); s != "" {
		d, err := time.ParseDuration(s)
		require.NoError(t, err)
		until = time.Now().Add(d)
	}
	l := listenAt(t, options{Rate: 1e9, Burst: 1 << 30})
	// Another channel goes on beside it, and loses nothing.
	var beside sync.WaitGroup
	defer beside.Wait()
	guest, host := pair(t)
	defer host.Close()
	beside.Go(func() { _, _ = io.Copy(struct{ io.Writer }{host}, pattern{}) })
	beside.Go(func() {
		if err := checkPattern(guest, math.MaxInt); err != nil && !errors.Is(err, io.EOF) {
			t.Error(err)
		}
	})
	corrupt, late := 0, 0
	count := func(err error) {
		switch {
		case errors.Is(err, vchan.ErrCorrupt):
			corrupt++
		case errors.Is(err, os.ErrDeadlineExceeded):
			late++
		}
	}
	for i := 0; i < rounds || time.Now().Before(until); i++ {
		r, c := newRogue(t, l)
		var stop atomic.Bool
		var wg sync.WaitGroup
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(i), 1))
			for !stop.Load() {
				at := 4 * int(rnd.Uint32N(7))
				if rnd.Uint32N(8) == 0 {
					at = 4 * int(rnd.Uint32N(ring.PageSize/4))
				}
				r.word(at).Store(rnd.Uint32() >> rnd.Uint32N(32))
				if rnd.Uint32N(16) == 0 {
					_ = r.uc.SetWriteDeadline(time.Now().Add(time.Millisecond))
					_, _ = r.uc.Write([]byte{1})
				}
			}
		})
		require.NoError(t, c.SetDeadline(time.Now().Add(2*time.Millisecond)))
		wg.Go(func() {
			for b := make([]byte, 300); ; {
				if _, err := c.Read(b); err != nil {
					return
				}
			}
		})
		for b := make([]byte, 300); ; {
			if _, err := c.Write(b); err != nil {
				count(err)
				break
			}
		}
		_ = c.Close()
		stop.Store(true)
		wg.Wait()
		_ = r.uc.Close()
		if i+1 >= rounds && !time.Now().Before(until) {
			t.Logf("%d rounds: %d writes ended with a corrupt ring, %d at their deadline", i+1, corrupt, late)
		}
	}
}

// What few descriptors take away is what a user keeps, not its channels that
// live.
func TestHeldAndDescriptors(t *testing.T) {
	for _, c := range []struct {
		held        int
		descriptors uint64
		want        int
	}{
		{held: 256, descriptors: 524288, want: 256},
		{held: 256, descriptors: 4096, want: 256},
		{held: 256, descriptors: 4095, want: 255},
		{held: 256, descriptors: 64, want: 64},
		{held: 4 * 8192, descriptors: 20000, want: 8192},
		{held: 8, descriptors: 1, want: 8},
		{held: 3, descriptors: 1, want: 3},
		{held: 1 << 30, descriptors: math.MaxUint64, want: 1 << 28},
		{held: 1 << 20, descriptors: math.MaxUint64, want: 1 << 20},
	} {
		require.Equal(t, c.want, boundHeld(c.held, c.descriptors), "%+v", c)
	}
}
