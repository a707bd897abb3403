package xen

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/internal/leaktest"
	"github.com/xentropyd/xentropyd/internal/xendev/xendevtest"
	"github.com/xentropyd/xentropyd/vchan"
	"github.com/xentropyd/xentropyd/vchan/ring"
	"github.com/xentropyd/xentropyd/xenstore"
	"github.com/xentropyd/xentropyd/xenstore/xenstoretest"
)

// patience bounds what must happen; nothing is measured by it.
const patience = 15 * time.Second

// The guest serves, the host connects: as in xentropyd.
const (
	hostID  = 0
	guestID = 7
)

// fixture is a host with one guest.
type fixture struct {
	t           testing.TB
	xen         *xendevtest.Xen
	store       *xenstoretest.Server
	host, guest *xendevtest.Domain
	hostStore   *xenstore.Client
	guestStore  *xenstore.Client
	path        string
	ctx         context.Context
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	leaktest.Check(t, leaktest.Mappings("xendevtest"))
	x, err := xendevtest.New()
	require.NoError(t, err)
	s := xenstoretest.NewServer()
	s.AddDomain(guestID, "guest")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	w := &fixture{t: t, xen: x, store: s, host: x.Domain(hostID), guest: x.Domain(guestID), ctx: ctx}
	w.hostStore, err = xenstore.Dial(ctx, s.Dialer(hostID))
	require.NoError(t, err)
	w.guestStore, err = xenstore.Dial(ctx, s.Dialer(guestID))
	require.NoError(t, err)
	w.path, err = Path(guestID, hostID, "entropy")
	require.NoError(t, err)
	t.Cleanup(func() {
		cancel()
		_ = w.hostStore.Close()
		_ = w.guestStore.Close()
		_ = s.Close()
		_ = x.Close()
	})
	return w
}

// empty waits until neither domain holds anything.
func (w *fixture) empty() {
	w.t.Helper()
	w.eventually(func() bool {
		return w.host.Counts() == xendevtest.Counts{} && w.guest.Counts() == xendevtest.Counts{}
	}, "host %+v guest %+v", func() []any { return []any{w.host.Counts(), w.guest.Counts()} })
}

func (w *fixture) eventually(ok func() bool, format string, args func() []any) {
	w.t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf(format, args()...)
		}
	}
}

func (w *fixture) offer(p *xendevtest.Process, o ring.Orders) *vchan.Conn {
	w.t.Helper()
	c, err := Offer(w.ctx, w.guestStore, hostID, w.path, OfferOptions{Orders: o, System: p})
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = c.Close() })
	require.NoError(w.t, c.SetDeadline(time.Now().Add(patience))) // fail rather than hang
	return c
}

func (w *fixture) connect(p *xendevtest.Process) *vchan.Conn {
	w.t.Helper()
	c, err := Connect(w.ctx, w.hostStore, guestID, w.path, ConnectOptions{System: p})
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = c.Close() })
	require.NoError(w.t, c.SetDeadline(time.Now().Add(patience))) // fail rather than hang
	return c
}

// pair gives both ends and their processes.
func (w *fixture) pair(o ring.Orders) (server, client *vchan.Conn, guest, host *xendevtest.Process) {
	w.t.Helper()
	guest, host = w.guest.Process(), w.host.Process()
	server = w.offer(guest, o)
	client = w.connect(host)
	require.NoError(w.t, server.Wait(w.ctx))
	return server, client, guest, host
}

func randomBytes(n int, seed uint64) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(seed)}).Read(b)
	return b
}

// exchange sends both ways at once in random portions and compares every byte.
func exchange(t testing.TB, a, b io.ReadWriter, total, most int) {
	t.Helper()
	var wg sync.WaitGroup
	for i, d := range [][2]io.ReadWriter{{a, b}, {b, a}} {
		data := randomBytes(total, uint64(i))
		wg.Go(func() {
			if err := send(d[0], data, most, uint64(i)); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			if err := expect(d[1], data, most, uint64(i)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

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

func expect(r io.Reader, want []byte, most int, seed uint64) error {
	rnd := rand.New(rand.NewPCG(seed, 2))
	b := make([]byte, most)
	for at := 0; at < len(want); {
		n, err := r.Read(b[:min(1+rnd.IntN(most), len(want)-at)])
		if err != nil {
			return err
		}
		if !bytes.Equal(b[:n], want[at:at+n]) {
			return io.ErrNoProgress
		}
		at += n
	}
	return nil
}
