package guest

import (
	"log/slog"
	"time"

	"github.com/xentropyd/xentropyd/guest/snapshot"
	"github.com/xentropyd/xentropyd/source"
	"github.com/xentropyd/xentropyd/transport"
)

// Dialer opens a channel to the host. An error of the dial or of a Read that has a method Restored() bool, which gives true, says
// that this machine was restored from a saved state: a new generation begins, as with [WithGeneration].
type Dialer = transport.Dialer

// Option changes how a Guest works.
type Option func(*config)

type config struct {
	label      string
	log        *slog.Logger
	sources    []source.Source
	ownSources bool // sources was given
	hostWait   time.Duration
	backoffMin time.Duration
	backoffMax time.Duration
	dialTime   time.Duration
	helloTime  time.Duration
	kernel     Target
	kernelRNG  func([]byte) error // nil is this system's; tests give one that fails
	targets    []Target
	external   func() uint64
	version1   bool
	notify     func(Status)
}

func defaults() config {
	return config{
		log:        slog.New(slog.DiscardHandler),
		hostWait:   3 * time.Second,
		backoffMin: 50 * time.Millisecond,
		backoffMax: 30 * time.Second,
		dialTime:   10 * time.Second,
		helloTime:  10 * time.Second,
		external:   snapshot.Counter(),
	}
}

// WithLabel sets what the guest calls itself, for people who look at the host's status: at most 64 bytes of printable text.
func WithLabel(label string) Option { return func(c *config) { c.label = label } }

// WithLogger sets where changes are logged. The default is nowhere.
func WithLogger(log *slog.Logger) Option { return func(c *config) { c.log = log } }

// WithSources replaces the guest's own noise sources, by default all that package source finds. Without any, only the host can
// seed it. The Guest closes them.
func WithSources(sources ...source.Source) Option {
	return func(c *config) { c.sources, c.ownSources = sources, true }
}

// WithHostWait sets how long Open prefers to wait for the host when the guest's own sources would suffice (3 s). When they do
// not, it waits for the host as long as its context allows.
func WithHostWait(d time.Duration) Option { return func(c *config) { c.hostWait = d } }

// WithBackoff sets the shortest and the longest pause between two attempts to reach the host (50 ms and 30 s). After a session that
// lasted for a second there is none before the first attempt.
func WithBackoff(shortest, longest time.Duration) Option {
	return func(c *config) { c.backoffMin, c.backoffMax = shortest, max(shortest, longest) }
}

// WithDialTimeout bounds one attempt to reach the host (10 s). Zero is for a carrier that waits for the host to come, such as an
// offer on Xen: it then waits until Close.
func WithDialTimeout(d time.Duration) Option { return func(c *config) { c.dialTime = d } }

// WithKernel makes the guest feed its kernel's RNG at each seed too.
func WithKernel(t Target) Option { return func(c *config) { c.kernel = t } }

// WithTarget makes the guest feed something of the application's own at each seed too. At most two can be given.
func WithTarget(t Target) Option { return func(c *config) { c.targets = append(c.targets, t) } }

// WithGeneration replaces the counter that changes when the machine's state may have been copied, by default snapshot.Counter's. It is
// called at each read and must be as cheap as a load from memory. When it changes, everything buffered is discarded and no read gives
// anything until fresh entropy was mixed in.
func WithGeneration(counter func() uint64) Option { return func(c *config) { c.external = counter } }

// WithProtocol1 makes the guest speak MirageOS's protocol of 2014 to a host that knows no other.
func WithProtocol1() Option { return func(c *config) { c.version1 = true } }

// WithNotify sets a function that gets the new Status after each seed and each change of the connection. It must not block.
func WithNotify(f func(Status)) Option { return func(c *config) { c.notify = f } }

// Target is something that is fed at each seed.
type Target interface {
	// Seed takes fresh bytes that nobody else gets, worth bits of entropy, and returns the bits that were credited. The
	// error's text is told to the host, cut to 80 bytes. The bytes are wiped after the call.
	Seed(seed []byte, bits int) (credited int, err error)
}
