package console

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/internal/leaktest"
	"github.com/xentropyd/xentropyd/internal/xendev/xendevtest"
	"github.com/xentropyd/xentropyd/transport/console/consoletest"
	"github.com/xentropyd/xentropyd/xenstore"
	"github.com/xentropyd/xentropyd/xenstore/xenstoretest"
)

// patience bounds what must happen; nothing is measured by it.
const patience = 30 * time.Second

const guestID = 7

// fixture is a host with one guest.
type fixture struct {
	t           testing.TB
	ctx         context.Context
	xen         *xendevtest.Xen
	store       *xenstoretest.Server
	host, guest *xendevtest.Domain
	guestStore  *xenstore.Client
	cfg         Config
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	leaktest.Check(t, leaktest.Mappings("xendevtest"))
	x, err := xendevtest.New()
	require.NoError(t, err)
	s := xenstoretest.NewServer()
	s.AddDomain(guestID, "guest")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	hostStore, err := xenstore.Dial(ctx, s.Dialer(0))
	require.NoError(t, err)
	guestStore, err := xenstore.Dial(ctx, s.Dialer(guestID))
	require.NoError(t, err)
	w := &fixture{
		t: t, ctx: ctx, xen: x, store: s, host: x.Domain(0), guest: x.Domain(guestID), guestStore: guestStore,
	}
	w.cfg = Config{Store: hostStore, Own: 0, Guest: guestID, System: w.host.Process(), Turn: make(chan struct{}, 1)}
	t.Cleanup(func() {
		cancel()
		_ = hostStore.Close()
		_ = guestStore.Close()
		_ = s.Close()
		_ = x.Close()
	})
	return w
}

// empty fails unless neither domain holds anything.
func (w *fixture) empty() {
	w.t.Helper()
	require.Equal(w.t, xendevtest.Counts{}, w.host.Counts())
	require.Equal(w.t, xendevtest.Counts{}, w.guest.Counts())
}

func (w *fixture) plug() *Device {
	w.t.Helper()
	d, err := Plug(w.ctx, w.cfg)
	require.NoError(w.t, err)
	return d
}

// link plugs a console and has the guest take it up.
func (w *fixture) link() (*Device, *Link, *consoletest.Front) {
	w.t.Helper()
	d := w.plug()
	f, err := consoletest.TakeUp(w.ctx, w.guestStore, w.guest.Process(), d.Front())
	require.NoError(w.t, err)
	f.SetDeadline(time.Now().Add(patience))
	front, err := d.Look(w.ctx)
	require.NoError(w.t, err)
	require.Equal(w.t, Front{Initialised, f.Ref, f.Port}, front)
	l, err := d.Connect(front)
	require.NoError(w.t, err)
	require.NoError(w.t, d.SetState(w.ctx, Connected))
	require.NoError(w.t, f.Await(w.ctx, "4"))
	return d, l, f
}
