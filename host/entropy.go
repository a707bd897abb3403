package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/xentropyd/xentropyd/fortuna"
	"github.com/xentropyd/xentropyd/internal/gather"
	"github.com/xentropyd/xentropyd/source"
	"github.com/xentropyd/xentropyd/transport"
)

// Errors of [Entropy.Draw].
var (
	// ErrNotSeeded says that too little entropy was gathered yet: wait for
	// Ready.
	ErrNotSeeded = errors.New("host is not seeded yet")
	// ErrStopped says that no healthy noise source is left and the policy is to
	// stop.
	ErrStopped = errors.New("host has no healthy noise source left, and its policy is to stop")
)

// Policy says what to do when no noise source is left.
type Policy string

// Policies.
const (
	// PolicyDegraded goes on from the seeded state, credits nothing and says
	// so.
	PolicyDegraded Policy = "degraded"
	// PolicyStop gives nothing until a source is healthy again.
	PolicyStop Policy = "stop"
)

// Check says what is wrong.
func (p Policy) Check() []transport.Fault {
	var f faults
	if p != PolicyDegraded && p != PolicyStop {
		f.add("", "%q; want one of %s, %s", string(p), PolicyDegraded, PolicyStop)
	}
	return f
}

// creditLimit is what one draw can be credited with: the generator's strength
// in bits, however long the draw.
const creditLimit = 256

// seedFileEvery is how often the seed file is written anew (Ferguson, Schneier,
// Kohno, Cryptography Engineering, 9.6.2).
const seedFileEvery = 10 * time.Minute

// demandEvery is how often noise is asked for in place of what was drawn: each
// time all sources are read, at nobody's expense.
const demandEvery = 100 * time.Millisecond

// healthEvery is how often the sources' health is looked at although none of
// them said anything: one that does not answer cannot. A draw looks by itself.
const healthEvery = 10 * time.Second

// SeedStore keeps a seed over restarts: internal/seedfile, or something of the
// caller's. It is called from one goroutine at a time, waited for for some
// seconds, and called no more before it has answered. A method Path() string,
// if there is one, names it in the log.
type SeedStore interface {
	Load() ([]byte, error) // an error that is fs.ErrNotExist is no cause for alarm
	Store(seed []byte) error
}

// EntropyConfig is what an [Entropy] is made of: add to what
// [DefaultEntropyConfig] gives.
type EntropyConfig struct {
	Sources   []source.Source // noise sources; closed by Run
	Policy    Policy          // when none of them is left
	Harvester []source.Option // pace and alpha of the harvest

	// Kernel fills 8*n bytes from the kernel's RNG without blocking; nil is
	// this system's. They are never credited, and never needed.
	Kernel func([]byte) error

	Seeds SeedStore    // nil: none is kept
	Log   *slog.Logger // nil: slog.Default()
}

// DefaultEntropyConfig has no source yet.
func DefaultEntropyConfig() EntropyConfig { return EntropyConfig{Policy: PolicyDegraded} }

// Check says what is wrong.
func (c *EntropyConfig) Check() []transport.Fault {
	var f faults
	f.in("policy", c.Policy.Check())
	return f
}

// Entropy gathers noise, counts what it is worth, and holds the host's Fortuna.
// All methods are safe for concurrent use.
type Entropy struct {
	cfg       EntropyConfig
	fortuna   *fortuna.Fortuna
	collector *gather.Collector
	keeper    keeper // Run's own
	harvester *source.Harvester
	started   time.Time
	ready     chan struct{} // closed when Draw works
	isReady   atomic.Bool
	degraded  atomic.Bool
	changed   chan struct{} // of capacity 1: a source's state did
	spent     atomic.Uint64 // bits credited to draws
	owed      atomic.Int64  // of them, those for which no noise was asked yet
	drawn     chan struct{} // of capacity 1: there are some
}

// NewEntropy returns an Entropy that gathers once Run is called.
func NewEntropy(cfg EntropyConfig) (*Entropy, error) {
	if err := refuse(cfg.Check()); err != nil {
		return nil, err
	}
	cfg.Log = logger(cfg.Log)
	f := fortuna.New(fortuna.WithExplicitSeed())
	collector := gather.New(f, gather.NewKernel(cfg.Kernel, cfg.Log))
	e := &Entropy{
		cfg: cfg, fortuna: f, collector: collector, started: time.Now(), ready: make(chan struct{}),
		changed: make(chan struct{}, 1), drawn: make(chan struct{}, 1),
	}
	e.keeper = keeper{store: cfg.Seeds, fortuna: f, log: cfg.Log}
	usual := []source.Option{source.WithLogger(cfg.Log), source.WithNotify(func(source.Status) {
		select {
		case e.changed <- struct{}{}:
		default:
		}
	})}
	e.harvester = source.NewHarvester(cfg.Sources, e.collector.Absorb, append(usual, cfg.Harvester...)...)
	return e, nil
}

// Run gathers until ctx ends, then waits for its goroutines and keeps a last
// seed, for two seconds at most. What goes wrong at its end is logged; the
// error is nil. A noise source or a SeedStore that does not answer is left
// behind.
func (e *Entropy) Run(ctx context.Context) error {
	harvest, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- e.harvester.Run(harvest) }()
	defer stop()

	e.harvester.Demand(gather.Need)
	select {
	case <-e.collector.Enough():
	case <-ctx.Done():
		e.sayLeft(<-done)
		return nil
	}
	e.seed(ctx)
	e.cfg.Log.Info("seeded", "after", time.Since(e.started).Round(time.Millisecond),
		"assessed_bits", int(e.collector.Bits()))

	watch := time.NewTicker(healthEvery)
	defer watch.Stop()
	keep := time.NewTicker(seedFileEvery)
	defer keep.Stop()
	drawn, again := e.drawn, (<-chan time.Time)(nil)
	for {
		e.watchHealth()
		select {
		case <-drawn:
			e.harvester.Demand(int(e.owed.Swap(0)))
			drawn, again = nil, time.After(demandEvery)
		case <-again:
			drawn, again = e.drawn, nil
		case <-e.changed:
		case <-watch.C:
		case <-keep.C:
			if err := e.keeper.keep(ctx, storePatience); ctx.Err() == nil {
				e.keeper.say(err)
			}
		case <-ctx.Done():
			e.sayLeft(<-done)
			e.keeper.say(e.keeper.keep(context.WithoutCancel(ctx), storeGrace)) // no failure of the run that is ending
			return nil
		}
	}
}

// sayLeft logs what the harvest could not end, such as a device that never
// answers. It is no failure of the run that is ending.
func (e *Entropy) sayLeft(err error) {
	if err != nil {
		e.cfg.Log.Error("a noise source did not end; it is left behind", "error", err)
	}
}

// seed gives Fortuna its first seed: the noise, the kernel's RNG where it
// answers, and the kept seed. A new seed is kept before any output, unless the
// store does not answer: then the kept seed was not used, or serves once more
// beside fresh noise.
func (e *Entropy) seed(ctx context.Context) {
	kept, err := e.keeper.load(ctx)
	defer clear(kept)
	e.collector.Seed(kept)
	if err == nil {
		err = e.keeper.keep(ctx, storePatience)
	}
	if ctx.Err() == nil { // else the end says how it went
		e.keeper.say(err)
	}
	e.isReady.Store(true)
	close(e.ready)
}

// watchHealth follows the sources' health and says each change once.
func (e *Entropy) watchHealth() {
	none := e.harvester.Healthy() == 0
	if e.degraded.Swap(none) == none {
		return
	}
	if none {
		e.cfg.Log.Warn("no healthy noise source left", "policy", string(e.cfg.Policy))
	} else {
		e.cfg.Log.Info("a noise source is healthy again")
	}
}

// Look makes noise sources that are absent be looked for at once.
func (e *Entropy) Look() { e.harvester.Look() }

// Ready is closed once Draw can give bytes.
func (e *Entropy) Ready() <-chan struct{} { return e.ready }

// Degraded says whether no noise source is healthy now.
func (e *Entropy) Degraded() bool { return e.degraded.Load() }

// Draw fills p with bytes that nobody else gets, and returns the entropy in
// bits that the receiver may be credited with: at most 256, 0 while degraded.
// Nothing is drawn on ErrNotSeeded and ErrStopped.
func (e *Entropy) Draw(p []byte) (credit int, err error) {
	if !e.isReady.Load() {
		return 0, ErrNotSeeded
	}
	degraded := e.harvester.Healthy() == 0
	if degraded && e.cfg.Policy == PolicyStop {
		return 0, ErrStopped
	}
	if _, err := e.fortuna.Read(p); err != nil {
		return 0, fmt.Errorf("draw %d bytes: %w", len(p), err)
	}
	if degraded {
		return 0, nil
	}
	credit = min(8*len(p), creditLimit)
	e.spent.Add(uint64(credit))
	e.owed.Add(int64(credit))
	select {
	case e.drawn <- struct{}{}:
	default:
	}
	return credit, nil
}

// EntropyStatus is a snapshot for people and machines.
type EntropyStatus struct {
	Seeded       bool            `json:"seeded"`
	Degraded     bool            `json:"degraded"`
	Policy       Policy          `json:"policy"`
	AssessedBits float64         `json:"assessed_bits"` // delivered by credited sources since the start
	SpentBits    uint64          `json:"spent_bits"`    // credited to guests since the start
	Reseeds      uint64          `json:"reseeds"`       // of the host's Fortuna
	Sources      []source.Status `json:"sources"`
}

// Status returns a snapshot.
func (e *Entropy) Status() EntropyStatus {
	return EntropyStatus{
		Seeded:       e.isReady.Load(),
		Degraded:     e.Degraded(),
		Policy:       e.cfg.Policy,
		AssessedBits: e.collector.Bits(),
		SpentBits:    e.spent.Load(),
		Reseeds:      e.fortuna.Reseeds(),
		Sources:      e.harvester.Status(),
	}
}
