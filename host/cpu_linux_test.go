package host

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/protocol"
	"github.com/xentropyd/xentropyd/transport"
	"github.com/xentropyd/xentropyd/vchan"
	"github.com/xentropyd/xentropyd/vchan/ring"
)

// serveReal is a server on the real clock.
func serveReal(t testing.TB, cfg Config) (*Server, *listener) {
	cfg.Log = slog.New(slog.DiscardHandler)
	s, err := NewServer(newDrawer(), cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	l := newListener()
	var wg sync.WaitGroup
	wg.Go(func() { s.Run(ctx) })
	wg.Go(func() { s.Serve(ctx, l) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	return s, l
}

// overVChan connects a guest and takes its first seed.
func overVChan(t *testing.T, l *listener, id string) (*vchan.Conn, *protocol.Guest) {
	guest, hosts, err := vchan.Pipe(ring.Orders{Left: 11, Right: 10})
	require.NoError(t, err)
	t.Cleanup(func() { guest.Close() })
	l.guests <- arrival{hosts, transport.Peer{ID: id, Group: id, Carrier: "vchan"}}
	g := protocol.NewGuest(protocol.Hello{})
	_, err = guest.Write(g.AppendHello(nil))
	require.NoError(t, err)
	d := protocol.NewGuestDecoder(guest)
	for range 2 { // welcome, seed
		f, err := d.Next()
		require.NoError(t, err)
		_, err = g.Open(f)
		require.NoError(t, err)
	}
	return guest, g
}

func statusOf(t *testing.T, s *Server, id string) GuestStatus {
	for _, g := range s.Status().Guests {
		if g.ID == id {
			return g
		}
	}
	t.Fatalf("server does not know guest %q", id)
	return GuestStatus{}
}

// The same on a real channel and the real clock: a frame that comes byte by
// byte, with an event each, without end.
func TestCPUTimeOverVChan(t *testing.T) {
	s, l := serveReal(t, with(func(c *Config) {
		c.Limits.FramesPerSecond = 1e6
		c.Limits.CPUShare = 0.01
	}))
	bad, proto := overVChan(t, l, "bad")
	overVChan(t, l, "good")
	begin := time.Now()
	frame := proto.Append(nil, protocol.Pong{})
	empty := bad.Space()
	var slowed time.Time // the first time that was seen
	for i := 0; slowed.IsZero() || time.Since(slowed) < time.Second; i++ {
		if i%1000 == 0 && slowed.IsZero() && statusOf(t, s, "bad").Slowed > 0 {
			slowed = time.Now()
		}
		_, err := bad.Write(frame[i%len(frame):][:1])
		require.NoError(t, err)
		for wait := 0; bad.Space() < empty && wait < 1000; wait++ { // until it is read, so that each makes work
			runtime.Gosched()
		}
		if bad.Space() < empty {
			time.Sleep(100 * time.Microsecond)
		}
	}
	g := statusOf(t, s, "bad")
	require.Less(t, g.CPU, cpuBurst.Seconds()+0.01*time.Since(begin).Seconds()+0.1)
	require.NotZero(t, statusOf(t, s, "good").CPU)
	require.Zero(t, statusOf(t, s, "good").Slowed)
	t.Logf("%.3f s of CPU time in %v, slowed %d times; the good one %.6f s", g.CPU, time.Since(begin), g.Slowed,
		statusOf(t, s, "good").CPU)
}

// A session that sleeps has a goroutine and no thread.
func TestSessionsHoldNoThreads(t *testing.T) {
	const sessions = 200
	threads := func() int {
		d, err := os.ReadDir("/proc/self/task")
		require.NoError(t, err)
		return len(d)
	}
	s, l := serveReal(t, with(func(c *Config) {
		c.Limits.SessionsPerGroup = 1000
		c.Limits.NewSessionsPerSecond = 1e6
	}))
	overVChan(t, l, "first")
	before, goroutines := threads(), runtime.NumGoroutine()
	for i := range sessions {
		overVChan(t, l, fmt.Sprint("guest ", i))
	}
	require.Equal(t, sessions+1, s.Status().Sessions)
	require.Less(t, threads(), before+sessions/4)
	require.LessOrEqual(t, runtime.NumGoroutine(), goroutines+sessions)
}
