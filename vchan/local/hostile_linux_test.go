package local

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/xentropyd/xentropyd/vchan"
	"github.com/xentropyd/xentropyd/vchan/ring"
)

// rogue is a guest that keeps what it offered in its own hands.
type rogue struct {
	uc              *net.UnixConn
	mem             *memory
	memfd           int
	toHost, toGuest int // the eventfd that we write, the one that the host writes
}

func newRogue(t testing.TB, o ring.Orders) *rogue {
	t.Helper()
	mem, memfd, err := makeMemory(o)
	require.NoError(t, err)
	_, err = ring.Create(ring.Memory{Page: mem.Page(), Left: mem.Left(), Right: mem.Right()}, o, pageNumbers(o))
	require.NoError(t, err)
	r := &rogue{mem: mem, memfd: memfd}
	for _, fd := range []*int{&r.toHost, &r.toGuest} {
		*fd, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
		require.NoError(t, err)
	}
	t.Cleanup(func() {
		if r.uc != nil {
			_ = r.uc.Close()
		}
		closeAll([]int{r.memfd, r.toHost, r.toGuest})
		_ = mem.Close()
	})
	return r
}

func (r *rogue) dial(t testing.TB, path string) {
	t.Helper()
	c, err := net.Dial(network, path)
	require.NoError(t, err)
	r.uc = c.(*net.UnixConn)
}

// say sends and gives the host's words, "" for accepted.
func (r *rogue) say(t testing.TB, msg []byte, fds ...int) string {
	t.Helper()
	_, _, err := r.uc.WriteMsgUnix(msg, unix.UnixRights(fds...), nil)
	require.NoError(t, err)
	b := make([]byte, 1000)
	n, err := r.uc.Read(b)
	require.NoError(t, err)
	require.LessOrEqual(t, n, headSize+textLimit)
	if err := decodeAnswer(b[:n]); err != nil {
		return err.Error()
	}
	return ""
}

func connectRogue(t testing.TB, l *Listener, o ring.Orders) (*rogue, *vchan.Conn) {
	t.Helper()
	r := newRogue(t, o)
	r.dial(t, l.path)
	require.Empty(t, r.say(t, encodeOffer(), r.memfd, r.toHost, r.toGuest))
	c, _, err := l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return r, c
}

// Each thing that can be wrong with an offer, alone, is refused with its reason.
func TestRefusals(t *testing.T) {
	leaveNothing(t)
	var mu sync.Mutex
	refused := 0
	l := listenAt(t, ListenOptions{MaxOrder: 12, Refused: func(Peer, error) { mu.Lock(); refused++; mu.Unlock() }})
	memfd := func(size int64, seals int) int {
		fd, err := unix.MemfdCreate("x", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
		require.NoError(t, err)
		require.NoError(t, unix.Ftruncate(fd, size))
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals)
		require.NoError(t, err)
		return fd
	}
	eventfd := func(flags int) int {
		fd, err := unix.Eventfd(0, flags|unix.EFD_CLOEXEC)
		require.NoError(t, err)
		return fd
	}
	const good = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW
	type offer struct {
		msg []byte
		fds []int
	}
	cases := map[string]struct {
		orders ring.Orders
		spoil  func(r *rogue, o *offer)
		why    string
	}{
		"nothing wrong":   {DefaultOrders, func(*rogue, *offer) {}, ""},
		"magic":           {DefaultOrders, func(_ *rogue, o *offer) { o.msg[0] = 'x' }, "magic"},
		"version":         {DefaultOrders, func(_ *rogue, o *offer) { o.msg[8] = 2 }, "version 2"},
		"short":           {DefaultOrders, func(_ *rogue, o *offer) { o.msg = o.msg[:15] }, "15 bytes"},
		"long":            {DefaultOrders, func(_ *rogue, o *offer) { o.msg = make([]byte, 500) }, "longer"},
		"count":           {DefaultOrders, func(_ *rogue, o *offer) { o.msg[10] = 4 }, "4 descriptors"},
		"reserved":        {DefaultOrders, func(_ *rogue, o *offer) { o.msg[15] = 1 }, "reserved"},
		"two fds":         {DefaultOrders, func(_ *rogue, o *offer) { o.fds = o.fds[:2] }, "2 descriptors came"},
		"four fds":        {DefaultOrders, func(_ *rogue, o *offer) { o.fds = append(o.fds, o.fds[0]) }, "4 descriptors came"},
		"many fds":        {DefaultOrders, func(_ *rogue, o *offer) { o.fds = make([]int, 100) }, "more descriptors"},
		"socket as memfd": {DefaultOrders, func(r *rogue, o *offer) { o.fds[0] = o.fds[1] }, "not a memfd"},
		"plain file": {DefaultOrders, func(r *rogue, o *offer) {
			f, err := os.Create(filepath.Join(t.TempDir(), "f"))
			require.NoError(t, err)
			t.Cleanup(func() { _ = f.Close() })
			o.fds[0] = int(f.Fd())
		}, "memfd"},
		"unsealed":      {DefaultOrders, func(_ *rogue, o *offer) { o.fds[0] = memfd(4096, 0) }, "not sealed"},
		"may shrink":    {DefaultOrders, func(_ *rogue, o *offer) { o.fds[0] = memfd(4096, unix.F_SEAL_GROW) }, "not sealed"},
		"may grow":      {DefaultOrders, func(_ *rogue, o *offer) { o.fds[0] = memfd(4096, unix.F_SEAL_SHRINK) }, "not sealed"},
		"no writing":    {DefaultOrders, func(_ *rogue, o *offer) { o.fds[0] = memfd(4096, good|unix.F_SEAL_FUTURE_WRITE) }, "against writing"},
		"too small":     {DefaultOrders, func(_ *rogue, o *offer) { o.fds[0] = memfd(4095, good) }, "4095 bytes"},
		"too large":     {DefaultOrders, func(_ *rogue, o *offer) { o.fds[0] = memfd(4096+2*4096+1, good) }, "12289 bytes"},
		"empty page":    {DefaultOrders, func(_ *rogue, o *offer) { o.fds[0] = memfd(4096, good) }, "order 0"},
		"a page more":   {DefaultOrders, func(r *rogue, o *offer) { r.mem.Page()[16] = 12 }, "need 8192"},
		"order too big": {DefaultOrders, func(r *rogue, o *offer) { r.mem.Page()[16] = 13 }, "up to 12"},
		"grant list":    {ring.Orders{Left: 12, Right: 12}, func(r *rogue, o *offer) { r.mem.Page()[28] = 1 }, "grant list"},
		"indices":       {DefaultOrders, func(r *rogue, o *offer) { r.mem.Page()[3] = 1 }, "corrupted"},
		"no eventfd":    {DefaultOrders, func(_ *rogue, o *offer) { o.fds[2] = o.fds[0] }, "third descriptor is not an eventfd"},
		"not even one":  {DefaultOrders, func(_ *rogue, o *offer) { o.fds[1] = o.fds[0] }, "second descriptor is not an eventfd"},
		"one for two":   {DefaultOrders, func(_ *rogue, o *offer) { o.fds[2] = o.fds[1] }, "same one"},
		"blocking":      {DefaultOrders, func(_ *rogue, o *offer) { o.fds[1] = eventfd(0) }, "blocking"},
		"semaphore":     {DefaultOrders, func(_ *rogue, o *offer) { o.fds[1] = eventfd(unix.EFD_NONBLOCK | unix.EFD_SEMAPHORE) }, "EFD_SEMAPHORE"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := newRogue(t, c.orders)
			r.dial(t, l.path)
			o := &offer{encodeOffer(), []int{r.memfd, r.toHost, r.toGuest}}
			c.spoil(r, o)
			why := r.say(t, o.msg, o.fds...)
			for i, fd := range o.fds {
				if i < 3 && fd != r.memfd && fd != r.toHost && fd != r.toGuest && name != "plain file" && name != "many fds" {
					_ = unix.Close(fd)
				}
			}
			if c.why == "" {
				require.Empty(t, why)
				conn, _, err := l.Accept()
				require.NoError(t, err)
				require.NoError(t, conn.Close())
				return
			}
			require.Contains(t, why, c.why)
		})
	}
	require.NoError(t, l.Close())
	require.Equal(t, len(cases)-1, refused)
}

// The memory cannot be taken away from under the host.
func TestSealedAgainstTruncation(t *testing.T) {
	l := listenAt(t, ListenOptions{})
	r, _ := connectRogue(t, l, DefaultOrders)
	require.ErrorIs(t, unix.Ftruncate(r.memfd, 0), unix.EPERM)
	require.ErrorIs(t, unix.Ftruncate(r.memfd, 1<<20), unix.EPERM)
}

// fill takes the counter to its end, where a further write would block.
func fill(t testing.TB, fd int) {
	b := [8]byte{}
	*(*uint64)(unsafe.Pointer(&b)) = 1<<64 - 2
	_, _ = unix.Read(fd, make([]byte, 8))
	_, err := unix.Write(fd, b[:])
	require.NoError(t, err)
}

func setBlocking(t testing.TB, fd int) {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_SETFL, unix.O_RDWR)
	require.NoError(t, err)
}

// A full counter says all that an event could say.
func TestFullCounterDoesNotBlock(t *testing.T) {
	l := listenAt(t, ListenOptions{})
	r, c := connectRogue(t, l, DefaultOrders)
	fill(t, r.toGuest)
	_, err := c.Write([]byte("x"))
	require.NoError(t, err)
}

func TestBlockingDescriptionIsViolation(t *testing.T) {
	leaveNothing(t)
	l := listenAt(t, ListenOptions{})
	r, c := connectRogue(t, l, DefaultOrders)
	fill(t, r.toGuest)
	setBlocking(t, r.toGuest)
	_, err := c.Write([]byte("x")) // the page asks for an event
	require.ErrorIs(t, err, vchan.ErrViolation)
	require.ErrorContains(t, err, "made an eventfd blocking") // found at once, not by the watcher
	_, err = c.Read(make([]byte, 1))
	require.ErrorIs(t, err, vchan.ErrViolation)
	require.ErrorIs(t, c.Close(), net.ErrClosed)
}

// A cleared O_NONBLOCK does not hold up the reading end.
func TestBlockingDescriptionReads(t *testing.T) {
	l := listenAt(t, ListenOptions{})
	r, c := connectRogue(t, l, DefaultOrders)
	setBlocking(t, r.toHost)
	require.NoError(t, c.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
	_, err := c.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.NoError(t, c.Close())
}

// stick brings a thread into the write that the look at O_NONBLOCK was to
// prevent, as a peer does that wins the race.
func stick(t *testing.T) (e *events, r *rogue, w *watcher, done chan error) {
	leaveNothing(t)
	r = newRogue(t, DefaultOrders)
	dup := func(fd int) int {
		d, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
		require.NoError(t, err)
		return d
	}
	p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	far := os.NewFile(uintptr(p[1]), "far")
	fc, err := net.FileConn(far)
	require.NoError(t, err)
	_ = far.Close()
	r.uc = fc.(*net.UnixConn)
	l := &link{fd: p[0]}
	e, err = newEvents(dup(r.toHost), dup(r.toGuest), l)
	require.NoError(t, err)
	mem, fd, err := makeMemory(DefaultOrders)
	require.NoError(t, err)
	_ = unix.Close(fd)
	l.conn, err = vchan.New(vchan.Config{Role: ring.Server, Orders: DefaultOrders, Memory: mem, Events: e})
	require.NoError(t, err)
	w, err = newWatcher()
	require.NoError(t, err)
	require.NoError(t, w.add(l))
	require.NoError(t, w.file.SetReadDeadline(time.Time{})) // no rounds of its own
	fill(t, r.toGuest)
	setBlocking(t, r.toGuest)
	require.True(t, e.enter())
	done = make(chan error, 1)
	go func() {
		defer e.leave()
		_ = addOne(e.out)
		done <- e.broken()
	}()
	time.Sleep(5 * time.Millisecond)
	require.Empty(t, done, "it is stuck")
	return e, r, w, done
}

func TestStuckThreadIsFreed(t *testing.T) {
	t.Run("by close", func(t *testing.T) {
		e, _, w, done := stick(t)
		require.NoError(t, e.link.conn.Close())
		<-done
		w.release()
	})
	t.Run("by hang-up", func(t *testing.T) {
		e, r, w, done := stick(t)
		require.NoError(t, r.uc.Close())
		<-done
		_, err := e.link.conn.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
		require.NoError(t, e.link.conn.Close())
		w.release()
	})
	t.Run("by the round", func(t *testing.T) {
		e, _, w, done := stick(t)
		for len(done) == 0 {
			w.round()
		}
		require.ErrorIs(t, <-done, vchan.ErrViolation)
		_, err := e.link.conn.Write(make([]byte, 5000))
		require.ErrorIs(t, err, vchan.ErrViolation)
		w.release()
	})
}

// Events without end cost the peer its channel.
func TestEventFlood(t *testing.T) {
	leaveNothing(t)
	l := listenAt(t, ListenOptions{})
	r, c := connectRogue(t, l, DefaultOrders)
	var stop atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		for !stop.Load() {
			_ = addOne(r.toHost)
		}
	})
	_, err := c.Read(make([]byte, 1))
	require.ErrorIs(t, err, vchan.ErrViolation)
	stop.Store(true)
	wg.Wait()
}

// Handshakes that stall neither hold up Accept nor grow in number.
func TestStalledHandshakes(t *testing.T) {
	leaveNothing(t)
	var reasons sync.Map
	l := listenAt(t, ListenOptions{MaxPending: 4, Refused: func(_ Peer, err error) { reasons.Store(err, true) }})
	var stalled []net.Conn
	for range 20 {
		c, err := net.Dial(network, l.path)
		require.NoError(t, err)
		stalled = append(stalled, c)
	}
	g, err := Offer(context.Background(), l.path, OfferOptions{})
	require.NoError(t, err)
	c, _, err := l.Accept()
	require.NoError(t, err)
	require.NoError(t, c.Close())
	require.NoError(t, g.Close())
	b := make([]byte, 300)
	n, err := stalled[0].Read(b) // the oldest had to go
	require.NoError(t, err)
	var re *RefusedError
	require.ErrorAs(t, decodeAnswer(b[:n]), &re)
	require.True(t, re.Busy)
	require.Contains(t, re.Error(), errEvicted.Error())
	require.NoError(t, l.Close())
	for _, c := range stalled {
		_ = c.Close()
	}
	_, ok := reasons.Load(errEvicted)
	require.True(t, ok)
	_, _, err = l.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
}

func TestHandshakeTimesOut(t *testing.T) {
	leaveNothing(t)
	l := listenAt(t, ListenOptions{HandshakeTimeout: time.Millisecond})
	c, err := net.Dial(network, l.path)
	require.NoError(t, err)
	defer func() { _ = c.Close() }()
	b := make([]byte, 300)
	n, err := c.Read(b)
	require.NoError(t, err)
	require.ErrorContains(t, decodeAnswer(b[:n]), "wait for the offer")
}

// The queue puts out the user who has most.
func TestQueueIsFair(t *testing.T) {
	var q queue
	q.init(3)
	admit := func(uid uint32) *pending { return q.admit(&net.UnixConn{}, Peer{UID: uid}) }
	lone := admit(1)
	a, b := admit(2), admit(2)
	c := admit(2)
	require.ErrorIs(t, q.heard(a), errEvicted)
	require.NoError(t, q.heard(lone))
	d := admit(3)
	require.ErrorIs(t, q.heard(b), errEvicted)
	require.NoError(t, q.heard(c))
	q.leave(lone)
	require.Equal(t, 1, q.room)
	require.NotNil(t, admit(3))
	require.NoError(t, q.heard(d))
	require.True(t, q.close())
	require.False(t, q.close())
	require.Nil(t, admit(4))
}

// soak is how long a long-running test goes on.
func soak(t testing.TB, short time.Duration) time.Duration {
	if s := os.Getenv("XENTROPYD_SOAK"); s != "" {
		d, err := time.ParseDuration(s)
		require.NoError(t, err)
		return d
	}
	return short
}

// A peer writes at random all over the shared page while traffic runs. Its own
// channel ends, or does not; another one goes on.
func TestHostileRing(t *testing.T) {
	leaveNothing(t)
	l := listenAt(t, ListenOptions{})
	good, err := Offer(context.Background(), l.path, OfferOptions{})
	require.NoError(t, err)
	goodHost, _, err := l.Accept()
	require.NoError(t, err)
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = io.Copy(good, struct{ io.Reader }{good}) }) // an echo
	end := time.Now().Add(soak(t, 5*time.Second))
	rounds, endings := 0, map[string]int{}
	for time.Now().Before(end) {
		orders := []ring.Orders{{Left: 10, Right: 11}, {Left: 11, Right: 10}, {Left: 12, Right: 12}}[rounds%3]
		rounds++
		hostileRound(t, l, orders, endings)
		b := []byte{byte(rounds)}
		_, err := goodHost.Write(b)
		require.NoError(t, err)
		b[0]++
		_, err = io.ReadFull(goodHost, b)
		require.NoError(t, err)
		require.Equal(t, byte(rounds), b[0])
	}
	require.NoError(t, goodHost.Close())
	wg.Wait()
	require.NoError(t, good.Close())
	t.Log(rounds, "rounds, endings", endings)
	require.Positive(t, endings["corrupt"])
}

func hostileRound(t *testing.T, l *Listener, o ring.Orders, endings map[string]int) {
	r := newRogue(t, o)
	r.dial(t, l.path)
	require.Empty(t, r.say(t, encodeOffer(), r.memfd, r.toHost, r.toGuest))
	c, _, err := l.Accept()
	require.NoError(t, err)
	var wg sync.WaitGroup
	limit := time.Now().Add(20 * time.Millisecond)
	require.NoError(t, c.SetDeadline(limit))
	errs := make([]error, 2)
	for i, f := range []func([]byte) (int, error){c.Read, c.Write} {
		wg.Go(func() {
			b := make([]byte, 5000)
			for errs[i] == nil {
				n, err := f(b[:1+rand.IntN(len(b))])
				if n < 0 || n > len(b) {
					t.Error("moved", n)
				}
				errs[i] = err
			}
		})
	}
	wide := rand.IntN(2) == 0 // the whole page, or the words that count
	for time.Now().Before(limit) {
		for range 16 {
			switch p := r.mem.Page(); {
			case wide:
				p[rand.IntN(len(p))] = byte(rand.Uint32())
			default:
				w := (*atomic.Uint32)(unsafe.Pointer(&p[4*rand.IntN(6)]))
				w.Add(rand.Uint32() >> (16 + rand.IntN(16)))
			}
		}
		_ = addOne(r.toHost)
	}
	wg.Wait()
	_ = c.Close()
	for _, err := range errs {
		endings[ending(err)]++
	}
}

func ending(err error) string {
	for name, is := range map[string]error{
		"corrupt": vchan.ErrCorrupt, "gone": vchan.ErrPeerGone, "eof": io.EOF,
		"violation": vchan.ErrViolation, "deadline": os.ErrDeadlineExceeded,
	} {
		if err == is || strings.Contains(err.Error(), is.Error()) {
			return name
		}
	}
	return err.Error()
}
