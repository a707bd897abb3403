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
)

// ErrStale is wrapped by the error of a read that found that the machine's state may have been copied, and nothing fresh to
// tell the copies apart. The next read tries again.
var ErrStale = fortuna.ErrStale

// ErrClosed is wrapped by the error of a read after Close.
var ErrClosed = fortuna.ErrClosed

// Guest is a seeded reader that follows its host. All methods are safe for concurrent use.
type Guest struct {
	cfg       config
	dial      Dialer
	fortuna   *fortuna.Fortuna
	pool      *gather.Pool
	kernelRNG *gather.Kernel
	restores  atomic.Uint64                    // that channels have told of
	harvester atomic.Pointer[source.Harvester] // nil until the own sources were started
	cancel    context.CancelFunc
	wg        sync.WaitGroup

	acknowledged chan struct{} // closed when the host's first seed was
	firstSeed    sync.Once     // closes it

	generation atomic.Uint64 // changes when a generation ended whose successor's seed is not here yet
	bytes      atomic.Uint64 // read

	presence presence // for follow's goroutine

	mu       sync.Mutex
	state    Status
	lastSeed time.Time     // zero for never
	askAfter time.Time     // a refusal said that asking the host earlier is of no use
	arrived  chan struct{} // closed at the next seed, then replaced
	freshFor uint64        // freshness.Generation when the last seed came in
	session  *session      // nil while not connected
	welcomed welcomeOf
}

// Open starts following the host that dial reaches and returns once the guest is seeded: by the host or, if that takes longer
// than WithHostWait, by the guest's own sources when they suffice. With a nil dial the own sources serve alone. The context
// bounds Open only; Close ends the rest.
func Open(ctx context.Context, dial Dialer, opts ...Option) (*Guest, error) {
	g := &Guest{cfg: defaults(), dial: dial, arrived: make(chan struct{}), acknowledged: make(chan struct{})}
	for _, o := range opts {
		o(&g.cfg)
	}
	if len(g.cfg.targets) > 2 {
		return nil, fmt.Errorf("open guest: %d targets given, at most 2 besides the kernel", len(g.cfg.targets))
	}
	g.fortuna = fortuna.New(fortuna.WithExplicitSeed(), fortuna.WithFreshness(freshness{g}))
	g.kernelRNG = gather.NewKernel(g.cfg.kernelRNG, g.cfg.log)
	g.pool = gather.New(g.fortuna, g.kernelRNG)
	run, cancel := context.WithCancel(context.Background())
	g.cancel = cancel
	g.startOwn(run)
	if dial != nil {
		g.wg.Go(func() { g.follow(run) })
	}
	if err := g.waitSeeded(ctx); err != nil {
		g.Close()
		return nil, err
	}
	return g, nil
}

// waitSeeded returns when the host or the own sources have seeded the guest.
func (g *Guest) waitSeeded(ctx context.Context) error {
	patience := time.NewTimer(g.cfg.hostWait)
	defer patience.Stop()
	g.mu.Lock()
	arrived := g.arrived
	if g.state.HostSeeded {
		arrived = closedChannel
	}
	g.mu.Unlock()
	late := patience.C
	var enough <-chan struct{}
	if g.dial == nil {
		late, enough = nil, g.pool.Enough()
	}
	for {
		select {
		case <-arrived:
			return nil
		case <-late:
			late, enough = nil, g.pool.Enough()
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
	if g.state.HostSeeded {
		return
	}
	g.pool.Seed()
	g.state.Seeded = true
	if g.dial != nil {
		g.cfg.log.Warn("host did not answer in time; seeded from own noise sources alone", "bits", int(g.pool.Bits()))
	}
}

// missing says why the guest is not seeded.
func (g *Guest) missing() string {
	s := g.Status()
	own := fmt.Sprintf("own noise sources have %.0f of %d bits", s.OwnBits, gather.Need)
	switch {
	case g.dial == nil:
		return own
	case s.LastError != "":
		return fmt.Sprintf("host: %s; %s", s.LastError, own)
	case s.Connected:
		return "host is connected but has sent no seed yet; " + own
	}
	return "host has not answered; " + own
}

// Read fills p with random bytes that nobody else gets. It fails only after Close and on [ErrStale].
func (g *Guest) Read(p []byte) (int, error) {
	n, err := g.fortuna.Read(p)
	g.bytes.Add(uint64(n))
	return n, err
}

// Close ends following, waits for the guest's goroutines and wipes its state. The host is told.
func (g *Guest) Close() error {
	g.cancel()
	g.wg.Wait()
	return g.fortuna.Close()
}

// Refresh asks the host for a fresh seed and returns once it is in use. It is for a caller that has a reason not to wait for
// the host's own schedule. The host may refuse; then the next Refresh waits as long as the host said, 1 s at least, before it asks
// again, so that it does no harm to try for ever.
func (g *Guest) Refresh(ctx context.Context) error {
	g.mu.Lock()
	s := g.session
	g.mu.Unlock()
	if s == nil {
		return errors.New("ask host for a seed: not connected to any host")
	}
	return s.request(ctx)
}
