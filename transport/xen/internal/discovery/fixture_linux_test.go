package discovery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/internal/leaktest"
	"github.com/xentropyd/xentropyd/internal/xendev/xendevtest"
	"github.com/xentropyd/xentropyd/transport"
	"github.com/xentropyd/xentropyd/transport/internal/domain"
	"github.com/xentropyd/xentropyd/vchan"
	"github.com/xentropyd/xentropyd/vchan/xen"
	"github.com/xentropyd/xentropyd/xenstore"
	"github.com/xentropyd/xentropyd/xenstore/xenstoretest"
)

// patience bounds what must happen; nothing is measured by it.
const patience = 30 * time.Second

// fixture is a Xen host with a discovery and an accept loop that keeps what it
// gets.
type fixture struct {
	t     testing.TB
	ctx   context.Context
	xen   *xendevtest.Xen
	store *xenstoretest.Server
	host  *xendevtest.Process
	log   *lines
	d     *Discovery
	peers chan arrival
	stop  func()
}

// lines is a log that counts.
type lines struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(p)
}

func (l *lines) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.all.String(), s)
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	leaktest.Check(t, leaktest.Mappings("xendevtest"))
	x, err := xendevtest.New()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	w := &fixture{t: t, ctx: ctx, xen: x, store: xenstoretest.NewServer(), host: x.Domain(0).Process(), log: &lines{}}
	t.Cleanup(func() {
		if w.stop != nil {
			w.stop()
		}
		cancel()
		_ = w.store.Close()
		_ = x.Close()
	})
	return w
}

// What a discovery looks for.
var (
	vchanOnly   = Options{Config: Config{VChan: true}}
	consoleOnly = Options{Config: Config{Console: true}}
)

func all(instance string) Options { return Options{Config: DefaultConfig(), Instance: instance} }

// listen starts a discovery; what it accepts comes from w.peers.
func (w *fixture) listen(cfg Options) {
	w.t.Helper()
	store, err := xenstore.Dial(w.ctx, w.store.Dialer(0))
	require.NoError(w.t, err)
	cfg.Store, cfg.System = store, w.host
	cfg.Log = slog.New(slog.NewTextHandler(w.log, nil))
	d, err := Listen(w.ctx, cfg)
	require.NoError(w.t, err)
	peers := make(chan arrival, 1000)
	var wg sync.WaitGroup
	wg.Go(func() {
		var all []transport.Conn
		for {
			ch, p, err := d.Accept()
			if err != nil {
				for _, ch := range all { // as a host's sessions do
					_ = ch.Close()
				}
				return
			}
			all = append(all, ch)
			peers <- arrival{ch, p}
		}
	})
	w.d, w.peers = d, peers
	w.stop = sync.OnceFunc(func() {
		_ = d.Close()
		wg.Wait()
		_ = store.Close()
	})
}

func (w *fixture) next() arrival {
	w.t.Helper()
	select {
	case a := <-w.peers:
		return a
	case <-w.ctx.Done():
		w.t.Fatal("no guest came")
		return arrival{}
	}
}

// afresh is next after a session that the host ended: until the guest takes its
// offer back, the host may connect to the old one once more (a server may
// persist), and hears of its end or of the new offer.
func (w *fixture) afresh(guest io.Writer) arrival {
	w.t.Helper()
	const word = "anybody there"
	_, err := guest.Write([]byte(word))
	require.NoError(w.t, err)
	for {
		a := w.next()
		p := make([]byte, len(word))
		if _, err := io.ReadFull(a.ch, p); err != nil {
			require.True(w.t, err == io.EOF || errors.Is(err, errReplaced), "%v", err)
			require.NoError(w.t, a.ch.Close())
			continue
		}
		require.Equal(w.t, word, string(p))
		return a
	}
}

func (w *fixture) eventually(ok func() bool, what string) {
	w.t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

func uuid(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012x", n) }

// guest is a domain with a program in it.
type fakeGuest struct {
	w     *fixture
	id    uint16
	store *xenstore.Client
	sys   *xendevtest.Process
}

// add makes a domain as libxl does: its nodes first, then the introduction.
func (w *fixture) add(id uint16, name, uuid string) *fakeGuest {
	w.t.Helper()
	w.store.Write(xenstore.DomainPath(id)+"/vm", "/vm/"+uuid)
	w.store.Write("/vm/"+uuid+"/name", name)
	w.store.AddDomain(id, name)
	store, err := xenstore.Dial(w.ctx, w.store.Dialer(id))
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = store.Close() })
	return &fakeGuest{w, id, store, w.xen.Domain(id).Process()}
}

// destroy is xl destroy: the domain ends, xenstored notices, the toolstack
// removes its nodes.
func (g *fakeGuest) destroy() {
	g.w.xen.Domain(g.id).Destroy()
	g.w.store.RemoveDomain(g.id)
}

func (g *fakeGuest) offer() *vchan.Conn {
	g.w.t.Helper()
	path, err := xen.Path(g.id, 0, domain.Port)
	require.NoError(g.w.t, err)
	c, err := xen.Offer(g.w.ctx, g.store, 0, path, xen.OfferOptions{System: g.sys})
	require.NoError(g.w.t, err)
	g.w.t.Cleanup(func() { _ = c.Close() })
	return c
}

func (w *fixture) has(path string) bool {
	_, ok := w.store.Dump()[path]
	return ok
}

// below counts the nodes under a path.
func (w *fixture) below(path string) (n int) {
	for p := range w.store.Dump() {
		if strings.HasPrefix(p, path+"/") {
			n++
		}
	}
	return n
}

// echo shows that a channel is connected to this end.
func echo(t testing.TB, ch transport.Conn, guest io.ReadWriter, word string) {
	t.Helper()
	_, err := guest.Write([]byte(word))
	require.NoError(t, err)
	p := make([]byte, len(word))
	_, err = io.ReadFull(ch, p)
	require.NoError(t, err)
	require.Equal(t, word, string(p))
	_, err = ch.Write(p)
	require.NoError(t, err)
	_, err = io.ReadFull(guest, p)
	require.NoError(t, err)
	require.Equal(t, word, string(p))
}
