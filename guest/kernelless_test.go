package guest

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/protocol"
	"github.com/xentropyd/xentropyd/transport"
)

var errSandbox = errors.New("getrandom: operation not permitted")

// withoutSystem is Open where the system's RNG fails, and counts how often that
// was asked.
func withoutSystem(t *testing.T, asked *atomic.Int64, dial transport.Dialer, o Options) (*Guest, error) {
	g := newGuest(dial, o, func([]byte) error { asked.Add(1); return errSandbox })
	return g, g.start(t.Context())
}

// openWithout is open so.
func openWithout(t *testing.T, asked *atomic.Int64, dial transport.Dialer, o Options) *opening {
	return opens(func() (*Guest, error) { return withoutSystem(t, asked, dial, o) })
}

// lines is a log.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// with returns the lines with this text.
func (l *lines) with(text string) (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.b.String()) {
		if strings.Contains(line, text) {
			found = append(found, line)
		}
	}
	return found
}

func (l *lines) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// What the kernel gives is never credited, so a guest does everything without
// it: take a host's seed, serve from its own sources, renew its state, and make
// nonces.
func TestNothingNeedsTheKernel(t *testing.T) {
	t.Run("host's seed", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			var asked atomic.Int64
			var log lines
			h, fed := newHosts(t), &target{}
			o := openWithout(t, &asked, h.dial, Options{Sources: none, Kernel: fed, Log: log.logger()})
			e := h.greet(1, 1)
			for range 3 {
				ack := e.seed(protocol.Seed{Generation: 1, Reason: protocol.ReasonPeriodic, Credit: 256})
				require.Equal(t, []protocol.Outcome{
					{Target: protocol.TargetLibrary, OK: true, Credit: 256},
					{Target: protocol.TargetKernel, OK: true, Credit: 256},
				}, ack.Outcomes)
			}
			g := o.wait(t)
			defer g.Close()
			_, err := g.Read(make([]byte, 8))
			require.NoError(t, err)
			require.EqualValues(t, 1+3, asked.Load(), "for the nonce and for each seed")
			require.Len(t, log.with("operation not permitted"), 1, "it is said once")
		})
	})
	t.Run("own sources", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			var asked atomic.Int64
			g, err := withoutSystem(t, &asked, nil, Options{Sources: goodSource()})
			require.NoError(t, err)
			defer g.Close()
			_, err = g.Read(make([]byte, 8))
			require.NoError(t, err)
			require.Positive(t, asked.Load())
		})
	})
	t.Run("a new generation", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			var asked atomic.Int64
			var counter atomic.Uint64
			h := newHosts(t)
			o := openWithout(t, &asked, h.dial, Options{Sources: none, Restores: counter.Load})
			h.greet(1, 1).seed(first)
			g := o.wait(t)
			defer g.Close()
			counter.Store(1)
			_, err := g.Read(make([]byte, 8))
			require.ErrorIs(t, err, ErrStale, "nothing fresh is here yet")
			require.NotContains(t, err.Error(), errSandbox.Error())
			h.greet(1, 1).seed(first)
			_, err = g.Read(make([]byte, 8))
			require.NoError(t, err)
		})
	})
}

func TestNoncesAreFreshWithoutAnything(t *testing.T) {
	// Time stands still in a bubble, and there is neither kernel nor
	// instruction: the count is left.
	bubble(t, func(t *testing.T) {
		var asked atomic.Int64
		g, err := withoutSystem(t, &asked, nil, Options{Sources: goodSource()})
		require.NoError(t, err)
		defer g.Close()
		require.NotEqual(t, g.nonce(), g.nonce())
		at := hellos.Load()
		a := g.nonce()
		hellos.Store(at)
		require.Equal(t, a, g.nonce(), "nothing else differs here, or this test shows nothing")
	})
	// Two clones have the same count.
	var asked atomic.Int64
	g, err := withoutSystem(t, &asked, nil, Options{Sources: goodSource()})
	require.NoError(t, err)
	defer g.Close()
	at := hellos.Load()
	a := g.nonce()
	hellos.Store(at)
	require.NotEqual(t, a, g.nonce())
	require.NotZero(t, a)
}
