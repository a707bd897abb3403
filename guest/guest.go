package guest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xentropyd/xentropyd/fortuna"
	"github.com/xentropyd/xentropyd/internal/gather"
	"github.com/xentropyd/xentropyd/source"
	"github.com/xentropyd/xentropyd/transport"
)

// ErrStale is wrapped by the error of a Read that found that the machine's
// state may have been copied, and nothing fresh to tell the copies apart. The
// next Read tries again.
var ErrStale = fortuna.ErrStale

// ErrClosed is wrapped by the error of a Read after Close.
var ErrClosed = fortuna.ErrClosed

// Guest is a seeded reader that follows its host. All methods are safe for
// concurrent use.
type Guest struct {
	opts      Options
	dial      transport.Dialer
	fortuna   *fortuna.Fortuna
	noise     *gather.Collector // what the own sources gave, on its way to fortuna
	systemRNG *gather.Kernel
	told      atomic.Uint64                    // restores that channels have told of
	harvester atomic.Pointer[source.Harvester] // nil until the own sources were started
	cancel    context.CancelFunc
	wg        sync.WaitGroup

	acknowledged chan struct{} // closed when the host's first seed was
	firstSeed    sync.Once     // closes it

	hostChanges atomic.Uint64 // new generations of the host
	bytes       atomic.Uint64 // read

	presence presence // for follow's goroutine

	mu       sync.Mutex
	state    Status
	lastSeed time.Time     // zero for never
	askAfter time.Time     // a refusal said that asking the host earlier is of no use
	arrived  chan struct{} // closed at the next seed, then replaced
	seedOf   uint64        // that the last seed is fresh for
	session  *session      // nil while not connected
	welcomed welcomeOf
}

// Open starts following the host that dial reaches, and returns once the guest
// is seeded: by the host or, when that takes longer than three seconds, by the
// guest's own sources as soon as they suffice. If dial is nil they serve alone.
// The context bounds Open; Close ends the rest.
//
// A dial opens a byte stream to the host. It is called from one goroutine and
// returns early when its context ends: at Close. It gives up by itself when
// waiting for longer is of no use. An error of it, or of the stream's Read,
// that has a method Restored() bool which gives true says that this machine was
// restored from a saved state.
//
// An error says what is missing, and wraps the context's.
func Open(ctx context.Context, dial transport.Dialer, o Options) (*Guest, error) {
	if dial == nil && o.RequireHost {
		return nil, errors.New("open guest: a host is required, and there is no dialer to reach it")
	}
	g := newGuest(dial, o, platformRNG())
	if err := g.start(ctx); err != nil {
		return nil, err
	}
	return g, nil
}

// newGuest makes a Guest that start brings to life. A nil systemRNG is this
// system's.
func newGuest(dial transport.Dialer, o Options, systemRNG func([]byte) error) *Guest {
	g := &Guest{opts: o.orDefaults(), dial: dial, arrived: make(chan struct{}), acknowledged: make(chan struct{})}
	g.fortuna = fortuna.New(fortuna.WithExplicitSeed(), fortuna.WithFreshness(freshness{g}))
	g.systemRNG = gather.NewKernel(systemRNG, g.opts.Log)
	g.noise = gather.New(g.fortuna, g.systemRNG)
	return g
}

// start returns once g is seeded, or closes it.
func (g *Guest) start(ctx context.Context) error {
	run, cancel := context.WithCancel(context.Background())
	g.cancel = cancel
	g.startOwn(run)
	if g.dial != nil {
		g.wg.Go(func() { g.follow(run) })
	}
	if err := g.waitSeeded(ctx); err != nil {
		g.Close()
		return err
	}
	return nil
}

// waitSeeded returns when the host or the own sources have seeded the guest.
func (g *Guest) waitSeeded(ctx context.Context) error {
	patience := time.NewTimer(hostTime)
	defer patience.Stop()
	g.mu.Lock()
	arrived := g.arrived
	if g.state.Host.Seeds > 0 {
		arrived = closedChannel
	}
	g.mu.Unlock()
	late := patience.C
	var enough <-chan struct{} // nil: own sources are no substitute for the host, or not yet
	switch {
	case g.dial == nil:
		late, enough = nil, g.noise.Enough()
	case g.opts.RequireHost:
		late = nil
	}
	for {
		select {
		case <-arrived:
			return nil
		case <-late:
			late, enough = nil, g.noise.Enough()
		case <-enough:
			g.seedAlone()
			return nil
		case <-ctx.Done():
			return fmt.Errorf("open guest: not seeded in time: %s: %w", g.missing(), context.Cause(ctx))
		}
	}
}

var closedChannel = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// seedAlone seeds from the own sources, unless the host was faster.
func (g *Guest) seedAlone() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state.Host.Seeds > 0 {
		return
	}
	g.noise.Seed()
	g.state.Seeded = true
	if g.dial != nil {
		g.opts.Log.Warn("host did not answer in time; seeded from own noise sources alone", "bits", int(g.noise.Bits()))
	}
}

// missing says why the guest is not seeded.
func (g *Guest) missing() string {
	s := g.Status()
	own := fmt.Sprintf("own noise sources have %.0f of %d bits", s.Own.Bits, gather.Need)
	switch {
	case g.dial == nil:
		return own
	case s.Host.LastError != "":
		return fmt.Sprintf("host: %s; %s", s.Host.LastError, own)
	case s.Host.Connected:
		return "host is connected but has sent no seed yet; " + own
	}
	return "host has not answered; " + own
}

// Read fills p, of any length, with random bytes that nobody else gets. It
// fails only after Close and on [ErrStale], for which it waits a second at
// most, and then gives no byte.
func (g *Guest) Read(p []byte) (int, error) {
	n, err := g.fortuna.Read(p)
	g.bytes.Add(uint64(n))
	return n, err
}

// Close ends following, waits for the guest's goroutines and wipes its state.
// The host is told, which takes half a second at most. Options.Kernel stays
// open.
func (g *Guest) Close() error {
	g.cancel()
	g.wg.Wait()
	return g.fortuna.Close()
}

// Refresh asks the host for a fresh seed and returns once it is in use. It is
// for a caller that has a reason not to wait for the host's own schedule. The
// host may refuse; then the next Refresh waits as long as the host said, from a
// second to a minute, before it asks again, so that it does no harm to try for
// ever.
func (g *Guest) Refresh(ctx context.Context) error {
	g.mu.Lock()
	s := g.session
	g.mu.Unlock()
	if s == nil {
		return errors.New("ask host for a seed: not connected to any host")
	}
	return s.request(ctx)
}
