package host

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/protocol"
	"github.com/xentropyd/xentropyd/transport"
)

// follow takes what comes until the session ends, and acknowledges seeds. It
// writes in a goroutine of its own: a pipe has no room, and the host may be
// writing, too.
func (c *client) follow() (wait func() (seeds int, ended error)) {
	var wg sync.WaitGroup
	var ended error
	var seeds int
	answers := make(chan []byte, 1000)
	wg.Go(func() {
		for frame := range answers {
			c.conn.Write(frame)
		}
	})
	wg.Go(func() {
		defer close(answers)
		for {
			m, err := c.try()
			if err != nil {
				ended = err
				return
			}
			switch m := m.(type) {
			case protocol.Seed:
				seeds++
				answers <- c.proto.Append(nil, protocol.Ack{
					Sequence: m.Sequence, Generation: m.Generation,
					Outcomes: []protocol.Outcome{{Target: protocol.TargetLibrary, OK: true}},
				})
			case protocol.Ping:
				answers <- c.proto.Append(nil, protocol.Pong(m))
			case protocol.Close:
				ended = fmt.Errorf("host says %q", m.Text)
			}
		}
	})
	return func() (int, error) {
		c.conn.Close()
		wg.Wait()
		return seeds, ended
	}
}

// 200 clones one after another, 200 at a time, each with a renewal for
// everybody or for one guest: no session ends, nobody's budget is touched, and
// all are in the newest generation.
func TestManyRenewals(t *testing.T) {
	for name, renew := range map[string]func(b *bench, i int) uint64{
		"of all": func(b *bench, _ int) uint64 { return b.server.NewGeneration() },
		"of one after the other": func(b *bench, i int) uint64 {
			g, ok := b.server.NewGenerationFor(fmt.Sprint(i % 20))
			require.True(b, ok)
			return g
		},
		"of the same": func(b *bench, _ int) uint64 {
			g, ok := b.server.NewGenerationFor("0")
			require.True(b, ok)
			return g
		},
	} {
		t.Run(name, func(t *testing.T) {
			serve(t, with(func(c *Config) {
				c.Limits.NewSessionsPerSecond = 1e6
				c.Seed.Interval = time.Hour
				c.Times.KeepAlive = time.Hour
			}), func(b *bench) {
				var waits []func() (int, error)
				for i := range 20 {
					waits = append(waits, b.join(fmt.Sprint(i)).follow())
				}
				synctest.Wait()
				before := time.Now()
				newest := make(map[int]uint64) // of each guest that was asked for
				var mu sync.Mutex
				var all sync.WaitGroup
				for range 10 {
					for i := range 200 {
						all.Go(func() {
							g := renew(b, i)
							mu.Lock()
							defer mu.Unlock()
							newest[i%20] = max(newest[i%20], g)
						})
					}
					all.Wait()
				}
				took := time.Since(before)
				require.LessOrEqual(t, took, 20*renewalEvery)
				for i := range 20 {
					g := b.guest(fmt.Sprint(i))
					require.Equal(t, g.CurrentGeneration, g.Generation, "acknowledged")
					require.True(t, g.Connected)
					require.Zero(t, g.Violations)
					require.GreaterOrEqual(t, g.BudgetLeft, 1024-64, "the first seed, and nothing else")
					if name != "of the same" {
						require.Equal(t, newest[i], g.Generation)
					}
				}
				b.join("new").seed()
				for _, wait := range waits {
					seeds, ended := wait()
					require.ErrorIs(t, ended, io.ErrClosedPipe, "we ended it")
					require.LessOrEqual(t, seeds, 2+int(took/renewalEvery), "more than are to take effect")
				}
			})
		})
	}
}

// The number that a caller gets is of a generation that began after its call.
func TestRenewalCoversItsCall(t *testing.T) {
	serve(t, with(func(c *Config) { c.Times.KeepAlive = time.Hour }), func(b *bench) {
		last := b.server.Status().Generation
		for i := range 100 {
			began := time.Now()
			g := b.server.NewGeneration()
			require.Greater(t, g, last)
			require.LessOrEqual(t, time.Since(began), renewalEvery)
			last = g
			time.Sleep(time.Duration(i) * renewalEvery / 50)
		}
	})
}

// Requests at one moment have one number, and take one.
func TestRenewalsAtOnceShareANumber(t *testing.T) {
	serve(t, with(func(c *Config) { c.Times.KeepAlive = time.Hour }), func(b *bench) {
		first := b.server.NewGeneration()
		var numbers sync.Map
		var all sync.WaitGroup
		for range 1000 {
			all.Go(func() { numbers.Store(b.server.NewGeneration(), true) })
		}
		all.Wait()
		n := 0
		numbers.Range(func(g, _ any) bool { n++; require.Equal(t, first+1, g); return true })
		require.Equal(t, 1, n)
	})
}

func TestRenewalOfNobody(t *testing.T) {
	serve(t, with(func(c *Config) {
		c.Times.KeepAlive = time.Hour
		c.Seed.Interval = time.Hour
	}), func(b *bench) {
		b.join("a").seed()
		synctest.Wait()
		before := b.server.Status().Generation
		_, ok := b.server.NewGenerationFor("nobody")
		require.False(t, ok)
		require.Equal(t, before, b.server.Status().Generation, "no number is used up")
		b.server.mu.Lock()
		defer b.server.mu.Unlock()
		for ses := range b.server.sessions {
			require.False(t, ses.kicked, "woken")
		}
	})
}

// wakes counts how often a channel's read deadline is set to the past: that is
// what wakes a session.
type wakes struct {
	transport.Conn
	mu sync.Mutex
	n  int
}

func (w *wakes) SetReadDeadline(t time.Time) error {
	if t.Equal(past) {
		w.mu.Lock()
		w.n++
		w.mu.Unlock()
	}
	return w.Conn.SetReadDeadline(t)
}

func TestRenewalOfOneWakesItAlone(t *testing.T) {
	serve(t, with(func(c *Config) {
		c.Times.KeepAlive = time.Hour
		c.Seed.Interval = time.Hour
	}), func(b *bench) {
		channels := make(map[string]*wakes)
		for _, id := range []string{"a", "b"} {
			here, there := newPipe(b)
			channels[id] = &wakes{Conn: there}
			b.l.guests <- arrival{channels[id], transport.Peer{ID: id, Group: id}}
			c := &client{bench: b, conn: here, proto: protocol.NewGuest(protocol.Hello{})}
			c.decoder = protocol.NewGuestDecoder(here)
			_, err := here.Write(c.proto.AppendHello(nil))
			require.NoError(t, err)
			c.follow()
		}
		synctest.Wait()
		_, ok := b.server.NewGenerationFor("a")
		require.True(t, ok)
		_, ok = b.server.NewGenerationFor("nobody")
		require.False(t, ok)
		synctest.Wait()
		require.Equal(t, 1, channels["a"].n)
		require.Zero(t, channels["b"].n)
		b.server.NewGeneration()
		require.Equal(t, 1, channels["b"].n)
	})
}

// The end of the server does not wait for an interval, and nobody is left
// without a number.
func TestRenewalAtTheEnd(t *testing.T) {
	serve(t, DefaultConfig(), func(b *bench) {
		b.server.NewGeneration()
		done := make(chan uint64)
		go func() { done <- b.server.NewGeneration() }()
		synctest.Wait()
		before := time.Now()
		b.stop()
		require.NotZero(t, <-done)
		require.Zero(t, time.Since(before))
	})
}

// syncBuffer is for a log that several write.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// A thousand renewals a second are a line a second, which says how many there
// were.
func TestRenewalsAreLoggedOnceASecond(t *testing.T) {
	serve(t, with(func(c *Config) {
		c.Times.KeepAlive = time.Hour
		c.Seed.Interval = time.Hour
	}), func(b *bench) {
		var out syncBuffer
		b.server.cfg.Log = slog.New(slog.NewTextHandler(&out, nil))
		b.join("a").follow()
		var all sync.WaitGroup
		for range 5000 {
			all.Go(func() { b.server.NewGeneration() })
			time.Sleep(time.Millisecond)
		}
		all.Wait()
		time.Sleep(2 * time.Second)
		b.server.NewGenerationFor("a")
		synctest.Wait()
		lines, requests := strings.Split(strings.TrimSpace(out.String()), "\n"), 0
		require.InDelta(t, 7, len(lines), 1, strings.Join(lines, "\n"))
		for _, l := range lines {
			var n int
			m := regexp.MustCompile(`requests=(\d+)`).FindStringSubmatch(l)
			require.Len(t, m, 2, l)
			fmt.Sscan(m[1], &n)
			requests += n
		}
		require.Equal(t, 5001, requests)
		require.Contains(t, lines[1], "for=all")
		require.Contains(t, lines[len(lines)-1], "for=a ")
	})
}
