package vchan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/vchan/ring"
)

var small = ring.Orders{Left: 11, Right: 10}

func pipe(t testing.TB, o ring.Orders) (server, client *Conn) {
	t.Helper()
	server, client, err := Pipe(o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = server.Close(); _ = client.Close() })
	return server, client
}

// send writes data in random portions; receive reads in random portions.
func send(w io.Writer, data []byte, most int, seed uint64) error {
	rnd := rand.New(rand.NewPCG(seed, 1))
	for len(data) > 0 {
		n, err := w.Write(data[:min(len(data), 1+rnd.IntN(most))])
		if err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

func receive(r io.Reader, total, most int, seed uint64) ([]byte, error) {
	rnd := rand.New(rand.NewPCG(seed, 2))
	data := make([]byte, 0, total)
	for len(data) < total {
		n, err := r.Read(data[len(data):min(total, len(data)+1+rnd.IntN(most))])
		if err != nil {
			return data, err
		}
		data = data[:len(data)+n]
	}
	return data, nil
}

func randomBytes(n int, seed uint64) []byte {
	rnd := rand.NewChaCha8([32]byte{byte(seed)})
	b := make([]byte, n)
	_, _ = rnd.Read(b)
	return b
}

// Both directions at once, random portions, every kind of ring.
func TestExchange(t *testing.T) {
	for _, o := range []ring.Orders{
		{Left: 10, Right: 11},
		{Left: 11, Right: 10},
		{Left: 12, Right: 12},
		{Left: 16, Right: 10},
		{Left: 20, Right: 20},
	} {
		t.Run(fmt.Sprint(o), func(t *testing.T) {
			server, client := pipe(t, o)
			exchange(t, server, client, 3<<o.Right+256<<10, 2<<o.Right)
		})
	}
}

func exchange(t *testing.T, a, b *Conn, total, most int) {
	var wg sync.WaitGroup
	for i, d := range [][2]*Conn{{a, b}, {b, a}} {
		data := randomBytes(total, uint64(i))
		wg.Go(func() {
			if err := send(d[0], data, most, uint64(i)); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			got, err := receive(d[1], total, most, uint64(i))
			if err != nil || !bytes.Equal(got, data) {
				t.Error("differs", len(got), err)
			}
		})
	}
	wg.Wait()
}

func TestLevels(t *testing.T) {
	server, client := pipe(t, small)
	require.Equal(t, 1024, server.Space())
	require.Equal(t, 2048, client.Space())
	_, err := client.Write(make([]byte, 100))
	require.NoError(t, err)
	require.Equal(t, 100, server.Buffered())
	require.Equal(t, 1948, client.Space())
	require.True(t, server.Connected())
	require.NoError(t, server.Close())
	require.Zero(t, server.Buffered())
	require.Zero(t, server.Space())
	require.False(t, server.Connected())
	require.False(t, client.Connected())
	require.Equal(t, "pipe", client.LocalAddr().Network())
	require.Equal(t, "client server", client.LocalAddr().String()+" "+client.RemoteAddr().String())
}

// What was written before the end can be read, then comes the end.
func TestCloseFromEitherSide(t *testing.T) {
	for i := range 2 {
		server, client := pipe(t, small)
		from, to := server, client
		if i == 1 {
			from, to = client, server
		}
		_, err := from.Write([]byte("the last words"))
		require.NoError(t, err)
		require.NoError(t, from.Close())
		require.ErrorIs(t, from.Close(), net.ErrClosed)

		_, err = to.Write([]byte("x"))
		require.ErrorIs(t, err, ErrPeerGone)
		var oe *net.OpError
		require.ErrorAs(t, err, &oe)
		require.Equal(t, "write vchan", oe.Op+" "+oe.Net)
		b, err := io.ReadAll(to)
		require.NoError(t, err)
		require.Equal(t, "the last words", string(b))
		require.ErrorIs(t, to.Wait(context.Background()), ErrPeerGone)

		for _, op := range []func() error{
			func() error { _, err := from.Read(b); return err },
			func() error { _, err := from.Write(b); return err },
			func() error { return from.Wait(context.Background()) },
			func() error { return from.SetDeadline(time.Time{}) },
		} {
			require.ErrorIs(t, op(), net.ErrClosed)
		}
	}
}

// Whoever is blocked when something ends comes back.
func TestEndsWakeTheBlocked(t *testing.T) {
	for name, c := range map[string]struct {
		end         func(server, client *Conn)
		read, write error
	}{
		"own close":  {func(s, _ *Conn) { _ = s.Close() }, net.ErrClosed, net.ErrClosed},
		"peer close": {func(_, c *Conn) { _ = c.Close() }, io.EOF, ErrPeerGone},
		"hang-up":    {func(s, _ *Conn) { s.HangUp() }, io.EOF, ErrPeerGone},
		"abort":      {func(s, _ *Conn) { s.Abort(ErrViolation) }, ErrViolation, ErrViolation},
		"deadline": {
			func(s, _ *Conn) { _ = s.SetDeadline(time.Unix(1, 0)) },
			os.ErrDeadlineExceeded, os.ErrDeadlineExceeded,
		},
		"corrupt": {func(s, c *Conn) {
			corruptLeft(c)
			_ = c.events.Notify()
		}, ErrCorrupt, ErrCorrupt},
	} {
		t.Run(name, func(t *testing.T) {
			server, client := pipe(t, small)
			errs := make([]chan error, 2)
			for i, f := range []func([]byte) (int, error){server.Read, server.Write} {
				errs[i] = make(chan error, 1)
				go func() { _, err := f(make([]byte, 5000)); errs[i] <- err }()
			}
			for server.Space() > 0 {
				runtime.Gosched()
			}
			c.end(server, client)
			require.ErrorIs(t, <-errs[0], c.read)
			require.ErrorIs(t, <-errs[1], c.write)
		})
	}
}

// corruptLeft writes an impossible left.prod, as the client c could.
func corruptLeft(c *Conn) {
	page := c.memory.Page()
	(*[1]word)(page4(page, 4))[0].Store(1 << 31)
}

func TestCorruptIsStickyAndCloses(t *testing.T) {
	server, client := pipe(t, small)
	corruptLeft(client)
	_, err := server.Read(make([]byte, 1))
	require.ErrorIs(t, err, ErrCorrupt)
	_, err = server.Write(make([]byte, 1))
	require.ErrorIs(t, err, ErrCorrupt)
	require.ErrorIs(t, server.Wait(context.Background()), ErrCorrupt)
	// The peer learns that we are gone.
	_, err = client.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	require.Zero(t, server.Buffered())

	server, client = pipe(t, small)
	corruptLeft(client)
	require.Zero(t, server.Buffered(), "a look at the level finds it, too")
	_, err = server.Read(make([]byte, 1))
	require.ErrorIs(t, err, ErrCorrupt)
}

// A peer that gives and takes back what it gave is found out, and does not have
// the other end look for ever.
func TestTakenBack(t *testing.T) {
	if !canSpin() {
		t.Skip("on one CPU nobody takes back while somebody looks: run it on two, with GOMAXPROCS=2")
	}
	data := func(server, _ *Conn) error { _, err := server.Read(make([]byte, 1)); return err }
	room := func(_, client *Conn) error { _, err := client.Write([]byte{0}); return err }
	for name, try := range map[string]func() error{
		"data": func() error { return givesAndTakes(t, false, data) },
		"room": func() error { return givesAndTakes(t, true, room) },
	} {
		t.Run(name, func(t *testing.T) {
			// a moment that may not come for long where both CPUs are busy
			for end := time.Now().Add(5 * time.Minute); ; {
				err := try()
				if errors.Is(err, errTakenBack) {
					return
				}
				// It was seen at another moment, at which the indices make no
				// sense at all.
				require.ErrorIs(t, err, ErrCorrupt)
				require.True(t, time.Now().Before(end), "it is never found out")
			}
		})
	}
}

// givesAndTakes has the peer of one end move its index of the left ring to and
// fro by one, until call fails.
func givesAndTakes(t *testing.T, full bool, call func(server, client *Conn) error) error {
	server, client := pipe(t, small)
	index, events := 4, client.events // what the client has written, in the page
	if full {
		_, err := client.Write(make([]byte, 1<<small.Left))
		require.NoError(t, err)
		index, events = 0, server.events // what the server has read
	}
	w := &(*[1]word)(page4(client.memory.Page(), index))[0]
	stop := make(chan struct{})
	var peer sync.WaitGroup
	peer.Go(func() {
		for i := uint32(1); ; i ^= 1 {
			select {
			case <-stop:
				return
			default:
				w.Store(i)
				_ = events.Notify()
			}
		}
	})
	defer peer.Wait()
	defer close(stop)
	for {
		if err := call(server, client); err != nil {
			return err
		}
	}
}

func TestServerWaitsForClient(t *testing.T) {
	m := pipeMemory{page: make([]byte, ring.PageSize)}
	a, b := make(chan struct{}, 1), make(chan struct{}, 1)
	server, err := New(Config{Role: ring.Server, Orders: small, Memory: m, Events: newPipeEvents(a, b)})
	require.NoError(t, err)
	defer func() { require.NoError(t, server.Close()) }()
	require.False(t, server.Connected())

	ctx, cancel := context.WithCancel(context.Background())
	errs := make(chan error, 3)
	go func() { errs <- server.Wait(ctx) }()
	cancel()
	require.ErrorIs(t, <-errs, context.Canceled)

	_, err = server.Write([]byte("early")) // as with the C library
	require.NoError(t, err)
	for range 3 {
		go func() { errs <- server.Wait(context.Background()) }()
	}
	client, err := New(Config{Role: ring.Client, Orders: small, Memory: m, Events: newPipeEvents(b, a)})
	require.NoError(t, err)
	defer func() { require.NoError(t, client.Close()) }()
	for range 3 {
		require.NoError(t, <-errs)
	}
	require.NoError(t, client.Wait(ctx), "there already")
	got := make([]byte, 10)
	n, err := client.Read(got)
	require.NoError(t, err)
	require.Equal(t, "early", string(got[:n]))
}

func TestNewFailsCleanly(t *testing.T) {
	for name, breakIt := range map[string]func(*Config){
		"orders": func(c *Config) { c.Orders = ring.Orders{Left: 11, Right: 11} },
		"notify": func(c *Config) { c.Events.(*fakeEvents).notify = errors.New("no event channel") },
		"timer":  func(c *Config) { c.Events.(*fakeEvents).deadline = errors.New("no deadlines") },
	} {
		m := &countedMemory{pipeMemory: pipeMemory{page: make([]byte, ring.PageSize)}}
		_, err := ring.Create(ring.Memory{Page: m.page}, small, nil)
		require.NoError(t, err)
		e := &fakeEvents{}
		cfg := Config{Role: ring.Client, Orders: small, Memory: m, Events: e}
		breakIt(&cfg)
		_, err = New(cfg)
		require.Error(t, err, name)
		require.Equal(t, 1, m.closed, name)
		require.Equal(t, 1, e.closed, name)
	}
}

type countedMemory struct {
	pipeMemory
	closed int
}

func (m *countedMemory) Close() error { m.closed++; return nil }

// fakeEvents fail where they are told to.
type fakeEvents struct {
	notify, deadline error
	wait             func() error
	notified, closed int
}

func (e *fakeEvents) Notify() error                   { e.notified++; return e.notify }
func (e *fakeEvents) Wait() error                     { return e.wait() }
func (e *fakeEvents) SetWaitDeadline(time.Time) error { return e.deadline }
func (e *fakeEvents) Close() error                    { e.closed++; return nil }

// A peer that sends events without end, and nothing else, is put out.
func TestEventFlood(t *testing.T) {
	m := &countedMemory{pipeMemory: pipeMemory{page: make([]byte, ring.PageSize)}}
	waits := 0
	e := &fakeEvents{wait: func() error { waits++; return nil }}
	c, err := New(Config{Role: ring.Server, Orders: small, Memory: m, Events: e})
	require.NoError(t, err)
	_, err = c.Read(make([]byte, 1))
	require.ErrorIs(t, err, ErrViolation)
	require.Equal(t, floodLimit+1, waits)
	require.Equal(t, 1, m.closed)
	require.Equal(t, 1, e.closed)
}

// An event between the look and the sleep: block does not sleep.
func TestNothingFallsBetweenLookAndSleep(t *testing.T) {
	server, _ := pipe(t, small)
	seq := server.wait.seq.Load()
	server.kick()
	server.block(seq, reading)
}

// Errors of the events end the channel, ErrPeerGone as an end of the stream.
func TestEventErrors(t *testing.T) {
	broken := errors.New("event channel lost")
	for _, c := range []struct{ give, want error }{{broken, broken}, {ErrPeerGone, io.EOF}} {
		m := &countedMemory{pipeMemory: pipeMemory{page: make([]byte, ring.PageSize)}}
		e := &fakeEvents{wait: func() error { return c.give }}
		s, err := New(Config{Role: ring.Server, Orders: small, Memory: m, Events: e})
		require.NoError(t, err)
		_, err = s.Read(make([]byte, 1))
		require.ErrorIs(t, err, c.want)
		_, err = s.Read(make([]byte, 1))
		require.ErrorIs(t, err, c.want, "sticky")
		_ = s.Close()
		require.Equal(t, 1, m.closed)
	}
	m := &countedMemory{pipeMemory: pipeMemory{page: make([]byte, ring.PageSize)}}
	_, err := ring.Create(ring.Memory{Page: m.page}, small, nil)
	require.NoError(t, err)
	e := &fakeEvents{}
	s, err := New(Config{Role: ring.Client, Orders: small, Memory: m, Events: e})
	require.NoError(t, err)
	e.notify = broken
	m.page[22] = 3 // the server asks for everything
	_, err = s.Write([]byte("x"))
	require.ErrorIs(t, err, broken)
	_, err = s.Read(make([]byte, 1))
	require.ErrorIs(t, err, broken)
	require.Equal(t, 1, m.closed)
}

// The memory is given back once, and never while somebody is in it.
func TestMemoryOutlivesItsUsers(t *testing.T) {
	for range 200 {
		m := &guardedMemory{pipeMemory: pipeMemory{page: make([]byte, ring.PageSize)}}
		a, b := make(chan struct{}, 1), make(chan struct{}, 1)
		server, err := New(Config{Role: ring.Server, Orders: small, Memory: m, Events: newPipeEvents(a, b)})
		require.NoError(t, err)
		m.conn = server
		var wg sync.WaitGroup
		for _, f := range []func(){
			func() { _, _ = server.Read(make([]byte, 9)) },
			func() { _, _ = server.Read(make([]byte, 9)) },
			func() { _, _ = server.Write(make([]byte, 9000)) },
			func() { _, _ = server.Write(make([]byte, 9000)) },
			func() { _ = server.Wait(context.Background()) },
			func() { server.Space() },
			func() { _ = server.Close() },
			func() { _ = server.Close() },
		} {
			wg.Go(f)
		}
		wg.Wait()
		require.Equal(t, 1, m.closed)
		require.False(t, m.busy)
	}
}

type guardedMemory struct {
	pipeMemory
	conn   *Conn
	closed int
	busy   bool
}

func (m *guardedMemory) Close() error {
	m.closed++
	m.busy = m.conn.state.Load() != stateClosed
	return nil
}

// Several readers and writers share a Conn; each Write stays whole.
func TestManyReadersAndWriters(t *testing.T) {
	server, client := pipe(t, small)
	const writers, rounds, size = 4, 50, 3000 // larger than the ring
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for range rounds {
				if _, err := client.Write(bytes.Repeat([]byte{byte('a' + w)}, size)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	got := make([]byte, 0, writers*rounds*size)
	var mu sync.Mutex
	var readers sync.WaitGroup
	for range 1 {
		readers.Go(func() {
			b, err := receive(server, cap(got), 5000, 1)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			got = append(got, b...)
			mu.Unlock()
		})
	}
	wg.Wait()
	readers.Wait()
	for at := 0; at < len(got); at += size {
		require.Equal(t, size, bytes.Count(got[at:at+size], got[at:at+1]))
	}
	// Two readers share what comes, neither is forgotten.
	done := make(chan int, 2)
	for range 2 {
		go func() { n, _ := server.Read(make([]byte, 1)); done <- n }()
	}
	_, err := client.Write([]byte("xy"))
	require.NoError(t, err)
	require.Equal(t, 2, <-done+<-done)
}

func TestNoGoroutineStays(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 50 {
		server, client := pipe(t, small)
		go func() { _, _ = client.Write([]byte("x")); _ = client.Close() }()
		_, err := io.ReadAll(server)
		require.NoError(t, err)
		require.NoError(t, server.Close())
	}
	for tries := 0; runtime.NumGoroutine() > before; tries++ {
		require.Less(t, tries, 5000, "goroutines stayed")
		time.Sleep(time.Millisecond)
	}
}
