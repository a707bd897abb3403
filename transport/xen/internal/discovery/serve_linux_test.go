package discovery

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/host"
	"github.com/xentropyd/xentropyd/protocol"
	"github.com/xentropyd/xentropyd/transport/console/consoletest"
	"github.com/xentropyd/xentropyd/xenstore"
)

// drawer is a host that is seeded.
type drawer struct{}

func (drawer) Draw(p []byte) (int, error) { return rand.Read(p) }
func (drawer) Degraded() bool             { return false }
func (drawer) Ready() <-chan struct{}     { c := make(chan struct{}); close(c); return c }

// seedV2 says hello by protocol 2 and waits for the first seed.
func seedV2(t *testing.T, rw io.ReadWriter) (protocol.Welcome, protocol.Seed) {
	t.Helper()
	hello := protocol.Hello{MinVersion: 2, MaxVersion: 2, Label: "test"}
	_, _ = rand.Read(hello.Nonce[:])
	g := protocol.NewGuest(hello)
	_, err := rw.Write(g.AppendHello(nil))
	require.NoError(t, err)
	d := protocol.NewGuestDecoder(rw)
	var welcome protocol.Welcome
	for {
		f, err := d.Next()
		require.NoError(t, err)
		m, err := g.Open(f)
		require.NoError(t, err)
		switch m := m.(type) {
		case protocol.Welcome:
			welcome = m
		case protocol.Seed:
			return welcome, m
		}
	}
}

// A real server behind it all: protocol 2 over vchan, both protocols over the
// console, and what xenstore holds is no secret.
func TestServerOverBothCarriers(t *testing.T) {
	w := newFixture(t)
	store, err := xenstore.Dial(w.ctx, w.store.Dialer(0))
	require.NoError(t, err)
	defer func() { _ = store.Close() }()
	log := slog.New(slog.NewTextHandler(w.log, nil))
	cfg := host.DefaultConfig()
	cfg.Budget.Period, cfg.Log = 100*time.Millisecond, log
	server, err := host.NewServer(drawer{}, cfg)
	require.NoError(t, err)
	d, err := Listen(w.ctx, Options{
		Config: DefaultConfig(), Store: store, System: w.host, Log: log,
		Instance: server.Status().Instance,
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(w.ctx)
	done := make(chan error, 2)
	go func() { done <- server.Run(ctx) }()
	go func() { done <- server.Serve(ctx, d) }()
	defer func() {
		cancel()
		require.NoError(t, <-done)
		require.NoError(t, <-done)
		require.NoError(t, d.Close())
		require.Zero(t, w.xen.Domain(0).Counts())
		require.Zero(t, w.below("/local/domain/0/backend/entropy"))
	}()

	a, b := w.add(3, "a", uuid(1)), w.add(4, "b", uuid(2))
	welcomeA, seedA := seedV2(t, a.offer())
	f, err := consoletest.TakeUp(w.ctx, b.store, b.sys, xenstore.DomainPath(4)+frontPath)
	require.NoError(t, err)
	defer func() { _ = f.Close() }()
	f.SetDeadline(time.Now().Add(patience))
	welcomeB, seedB := seedV2(t, f)
	require.NotEqual(t, welcomeA.Generation, welcomeB.Generation)
	require.Equal(t, welcomeA.Instance, welcomeB.Instance)
	require.NotEqual(t, seedA.Payload, seedB.Payload)

	// The other guest's console, by protocol 1.
	f1, err := consoletest.TakeUp(w.ctx, a.store, a.sys, xenstore.DomainPath(3)+frontPath)
	require.NoError(t, err)
	defer func() { _ = f1.Close() }()
	f1.SetDeadline(time.Now().Add(patience))
	r, err := protocol.V1Handshake(f1)
	require.NoError(t, err)
	got := make([]byte, 512) // the budget is the guest's, whatever it comes over
	_, err = io.ReadFull(r, got)
	require.NoError(t, err)

	// What the guests' sessions cost is counted.
	for _, g := range server.Status().Guests {
		require.NotZero(t, g.CPU, g.Name)
		require.Zero(t, g.Slowed, g.Name)
	}

	for path, value := range w.store.Dump() {
		for _, secret := range [][]byte{seedA.Payload, seedB.Payload, got} {
			require.NotContains(t, value, string(secret[:8]), path)
		}
	}
	// The clone of a under another name is somebody else; a itself, restored,
	// is in a new generation.
	a.destroy()
	again := w.add(5, "a", uuid(1))
	welcomeC, _ := seedV2(t, again.offer())
	require.Greater(t, welcomeC.Generation, welcomeA.Generation)
	clone := w.add(6, "clone", uuid(9))
	welcomeD, _ := seedV2(t, clone.offer())
	require.NotContains(t, []uint64{welcomeA.Generation, welcomeC.Generation}, welcomeD.Generation)
}
