package e2e

import (
	"context"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/host"
	"github.com/xentropyd/xentropyd/internal/seedfile"
	"github.com/xentropyd/xentropyd/protocol"
	"github.com/xentropyd/xentropyd/source"
	"github.com/xentropyd/xentropyd/transport"
)

// windows finds a repeat of any 16 consecutive bytes among all that it is
// shown.
type windows struct {
	mu   sync.Mutex
	seen map[[16]byte]struct{}
}

// add looks at every window of b at which a repeat could begin, all of them,
// and says whether one was seen before.
func (w *windows) add(b []byte) (repeated bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.seen == nil {
		w.seen = make(map[[16]byte]struct{})
	}
	for i := 0; i+16 <= len(b); i++ {
		k := [16]byte(b[i : i+16])
		if _, ok := w.seen[k]; ok {
			return true
		}
		w.seen[k] = struct{}{}
	}
	return false
}

// pipes is a listener of in-memory connections.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (l *pipes) Accept() (transport.Conn, transport.Peer, error) {
	select {
	case c := <-l.conns:
		return c, transport.Peer{ID: "one", Group: "one"}, nil
	case <-l.done:
		return nil, transport.Peer{}, net.ErrClosed
	}
}

func (l *pipes) Close() error { l.once.Do(func() { close(l.done) }); return nil }

// session asks a host for its first seed and one more, as a guest with no state
// at all would.
func session(l *pipes) ([][]byte, error) {
	here, there := net.Pipe()
	defer here.Close()
	l.conns <- there
	here.SetDeadline(time.Now().Add(time.Minute))
	// Every session says the same nonce: the host alone must see to it that the
	// seeds differ.
	g := protocol.NewGuest(protocol.Hello{})
	if _, err := here.Write(g.AppendHello(nil)); err != nil {
		return nil, err
	}
	d := protocol.NewGuestDecoder(here)
	var seeds [][]byte
	for len(seeds) < 2 {
		f, err := d.Next()
		if err != nil {
			return nil, err
		}
		m, err := g.Open(f)
		if err != nil {
			return nil, err
		}
		if s, ok := m.(protocol.Seed); ok {
			seeds = append(seeds, append([]byte(nil), s.Payload...))
			if len(seeds) == 1 {
				if _, err := here.Write(g.Append(nil, protocol.Request{ID: 1, Bytes: 32})); err != nil {
					return nil, err
				}
			}
		}
	}
	return seeds, nil
}

// TestSeedsAreNeverShared holds 10,000 sessions with a host that is started ten
// times, each time on the seed file of the last. No 16 bytes of any seed come
// again.
func TestSeedsAreNeverShared(t *testing.T) {
	const starts, sessions = 10, 1000
	var seen windows
	dir := t.TempDir()
	for range starts {
		sources, err := source.Find(source.NameJitter)
		require.NoError(t, err)
		file, err := seedfile.Open(filepath.Join(dir, "seed"))
		require.NoError(t, err)
		entropy, err := gathering(sources, file)
		require.NoError(t, err)
		cfg := generous()
		cfg.Budget.Bytes, cfg.Seed.Interval = 1<<24, time.Hour
		server, err := host.NewServer(entropy, cfg)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		l := newPipes()
		done := make(chan error)
		go func() { done <- serve(ctx, entropy, server, l) }()
		<-entropy.Ready()

		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range sessions / 4 {
					seeds, err := session(l)
					if err != nil {
						t.Error(err)
						return
					}
					for _, s := range seeds {
						if seen.add(s) {
							t.Error("16 bytes of a seed came twice")
						}
					}
				}
			})
		}
		wg.Wait()
		cancel()
		require.NoError(t, <-done)
		require.NoError(t, file.Close())
	}
	require.Len(t, seen.seen, starts*sessions*((64-15)+(32-15)))
}
