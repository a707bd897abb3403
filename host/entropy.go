package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/xentropyd/xentropyd/fortuna"
	"github.com/xentropyd/xentropyd/internal/gather"
	"github.com/xentropyd/xentropyd/source"
)

// Errors of [Entropy.Draw].
var (
	// ErrNotSeeded says that too little entropy was gathered yet: wait for Ready.
	ErrNotSeeded = errors.New("host is not seeded yet")
	// ErrStopped says that no healthy noise source is left and the policy is to stop.
	ErrStopped = errors.New("host has no healthy noise source left, and its policy is to stop")
)

// Policy says what to do when no noise source is left.
type Policy string

// Policies.
const (
	// PolicyDegraded goes on from the seeded state, credits nothing and says so.
	PolicyDegraded Policy = "degraded"
	// PolicyStop gives nothing until a source is healthy again.
	PolicyStop Policy = "stop"
)

// creditLimit is what one draw can be credited with: the generator's strength in bits, however long the draw.
const creditLimit = 256

// seedFileEvery is how often the seed file is written anew (Ferguson, Schneier, Kohno, Cryptography Engineering, 9.6.2).
const seedFileEvery = 10 * time.Minute

// healthEvery is how often the sources' health is looked at although none of them said anything: one that does not answer cannot. A draw looks
// by itself.
const healthEvery = 10 * time.Second

// SeedStore keeps a seed over restarts: internal/seedfile, or something of the caller's.
type SeedStore interface {
	Load() ([]byte, error) // an error that is fs.ErrNotExist is no cause for alarm
	Store(seed []byte) error
}

// EntropyConfig is what an [Entropy] is made of.
type EntropyConfig struct {
	Sources   []source.Source    // noise sources; closed by Run
	Kernel    func([]byte) error // fills 8*n bytes from the kernel's RNG without blocking, nil: this system's; never credited, never needed
	Seeds     SeedStore          // nil: none kept
	Policy    Policy             // PolicyDegraded
	Harvester []source.Option    // pace, alpha, clock of the harvest
	Log       *slog.Logger       // slog.Default()
}

// Entropy gathers noise, counts what it is worth, and holds the host's Fortuna. All methods are safe for concurrent use.
type Entropy struct {
	cfg       EntropyConfig
	fortuna   *fortuna.Fortuna
	pool      *gather.Pool
	harvester *source.Harvester
	started   time.Time
	ready     chan struct{} // closed when Draw works
	isReady   atomic.Bool
	degraded  atomic.Bool
	changed   chan struct{} // of capacity 1: a source's state did
	spent     atomic.Uint64 // bits credited to draws

	noSeedKept bool // neither an earlier run nor this one has stored a seed; Run's alone
}

// NewEntropy returns an Entropy that gathers once Run is called.
func NewEntropy(cfg EntropyConfig) (*Entropy, error) {
	orDefault(&cfg.Policy, PolicyDegraded)
	if cfg.Policy != PolicyDegraded && cfg.Policy != PolicyStop {
		return nil, fmt.Errorf("policy %q: use %q or %q", cfg.Policy, PolicyDegraded, PolicyStop)
	}
	orDefault(&cfg.Log, slog.Default())
	f := fortuna.New(fortuna.WithExplicitSeed())
	pool := gather.New(f, gather.NewKernel(cfg.Kernel, cfg.Log))
	e := &Entropy{cfg: cfg, fortuna: f, pool: pool, started: time.Now(), ready: make(chan struct{}), changed: make(chan struct{}, 1)}
	usual := []source.Option{source.WithLogger(cfg.Log), source.WithNotify(func(source.Status) {
		select {
		case e.changed <- struct{}{}:
		default:
		}
	})}
	e.harvester = source.NewHarvester(cfg.Sources, e.pool.Absorb, append(usual, cfg.Harvester...)...)
	return e, nil
}

// Run gathers until ctx ends, then waits for its goroutines and keeps a last seed. What goes wrong at its end is logged; the error is nil.
func (e *Entropy) Run(ctx context.Context) error {
	harvest, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- e.harvester.Run(harvest) }()
	defer stop()

	e.harvester.Demand(gather.Need)
	select {
	case <-e.pool.Enough():
	case <-ctx.Done():
		e.sayLeft(<-done)
		return nil
	}
	e.seed()
	e.cfg.Log.Info("seeded", "after", time.Since(e.started).Round(time.Millisecond), "assessed_bits", int(e.pool.Bits()))

	watch := time.NewTicker(healthEvery)
	defer watch.Stop()
	keep := time.NewTicker(seedFileEvery)
	defer keep.Stop()
	for {
		e.watchHealth()
		select {
		case <-e.changed:
		case <-watch.C:
		case <-keep.C:
			if err := e.keepSeed(); err != nil {
				e.cfg.Log.Error("seed file not written; "+e.leftSeed(), "error", err)
			}
		case <-ctx.Done():
			e.sayLeft(<-done)
			if kept := e.keepSeed(); kept != nil { // no failure of the run that is ending
				e.cfg.Log.Error("seed not kept at the end; "+e.leftSeed(), "error", kept)
			}
			return nil
		}
	}
}

// sayLeft logs what the harvest could not end, such as a device that never answers. It is no failure of the run that is ending.
func (e *Entropy) sayLeft(err error) {
	if err != nil {
		e.cfg.Log.Error("a noise source did not end; it is left behind", "error", err)
	}
}

// seed gives Fortuna its first seed: the noise, the kernel's RNG where it answers, and the kept seed. A new seed is kept before any output.
func (e *Entropy) seed() {
	var kept []byte
	if e.cfg.Seeds != nil {
		var err error
		switch kept, err = e.cfg.Seeds.Load(); {
		case errors.Is(err, fs.ErrNotExist):
			e.noSeedKept = true
			e.cfg.Log.Info("no seed kept from an earlier run; fresh noise serves alone")
		case err != nil:
			e.cfg.Log.Warn("kept seed not used; fresh noise serves alone", "error", err)
		}
		defer clear(kept)
	}
	e.pool.Seed(kept)
	if err := e.keepSeed(); err != nil {
		e.cfg.Log.Error("no seed kept for the next start", "error", err)
	}
	e.isReady.Store(true)
	close(e.ready)
}

func (e *Entropy) keepSeed() error {
	if e.cfg.Seeds == nil {
		return nil
	}
	seed := make([]byte, 64)
	defer clear(seed)
	if _, err := e.fortuna.Read(seed); err != nil {
		return fmt.Errorf("draw a seed to keep: %w", err)
	}
	if err := e.cfg.Seeds.Store(seed); err != nil {
		return err
	}
	e.noSeedKept = false
	return nil
}

// leftSeed says what the next start finds when a seed could not be stored.
func (e *Entropy) leftSeed() string {
	if e.noSeedKept {
		return "there is none for the next start"
	}
	return "the old one stays"
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

// Draw fills p with bytes that nobody else gets, and returns the entropy in bits that the receiver may be credited with: at
// most 256, 0 while degraded. Nothing is drawn on ErrNotSeeded and ErrStopped.
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
	e.harvester.Demand(credit)
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
		AssessedBits: e.pool.Bits(),
		SpentBits:    e.spent.Load(),
		Reseeds:      e.fortuna.Reseeds(),
		Sources:      e.harvester.Status(),
	}
}
