package source

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/xentropyd/xentropyd/source/health"
)

// Our own choices, each changed by the Option beside it.
const (
	defaultBackoffMin  = time.Second      // WithBackoff
	defaultBackoffMax  = 5 * time.Minute  // WithBackoff
	defaultReadTimeout = 10 * time.Second // WithReadTimeout
	defaultGrace       = time.Second      // WithGrace
)

// How long after a source was found absent it is looked for again: first, then
// twice as long each time, up to most. A device that was plugged in is in use
// within a minute.
const (
	lookFirst = time.Second
	lookMost  = time.Minute
)

// Option changes how a Harvester works.
type Option func(*config)

type config struct {
	log                    *slog.Logger
	alpha                  float64
	pace                   func(Info) Pace
	backoffMin, backoffMax time.Duration
	readTimeout, grace     time.Duration
	notify                 func(Status)
}

func defaultConfig() config {
	return config{
		log: slog.New(slog.DiscardHandler), alpha: DefaultAlpha, pace: DefaultPace,
		backoffMin: defaultBackoffMin, backoffMax: defaultBackoffMax,
		readTimeout: defaultReadTimeout, grace: defaultGrace,
	}
}

// Pace is how a source is read once no demand is open.
type Pace struct {
	Every   time.Duration // between two batches
	Samples int           // in one batch
}

// DefaultPace is a batch each 15 seconds, and a smaller one each 30 for the
// jitter source, whose samples cost CPU time. A machine at rest is to stay so:
// whoever draws demands what is fresh.
func DefaultPace(info Info) Pace {
	if info.ID == IDJitter {
		return Pace{Every: 30 * time.Second, Samples: 64}
	}
	return Pace{Every: 15 * time.Second, Samples: 256}
}

// WithLogger sets where changes of state are logged. Samples never are. The
// default logs nothing.
func WithLogger(l *slog.Logger) Option { return func(o *config) { o.log = l } }

// DefaultAlpha is the false-alarm probability of the health tests.
const DefaultAlpha = health.DefaultAlpha

// Bounds on it, our own. SP 800-90B, 4.4.1, recommends 2^-20 to 2^-40. Beyond
// them tests would ring all day, or see a failure too late to be of use.
const (
	minAlpha = 0x1p-60
	maxAlpha = 0x1p-10
)

// CheckAlpha says what is wrong with a false-alarm probability.
func CheckAlpha(alpha float64) error {
	if !(alpha >= minAlpha && alpha <= maxAlpha) { // so written, NaN is refused
		return fmt.Errorf("%v; want a probability of 2^-60 (8.7e-19) to 2^-10 (9.8e-4)", alpha)
	}
	return nil
}

// WithAlpha sets the false-alarm probability of the health tests
// ([DefaultAlpha]). With one that [CheckAlpha] refuses every source is absent.
func WithAlpha(alpha float64) Option { return func(o *config) { o.alpha = alpha } }

// WithPace sets the pace of each source ([DefaultPace]). NewHarvester panics if
// it gives an interval that is not positive, or a batch of no samples.
func WithPace(f func(Info) Pace) Option { return func(o *config) { o.pace = f } }

// WithBackoff sets how long a failed source waits before it is tried again:
// first, then twice as long each time, up to most (1 s and 5 min). It panics
// unless first is positive and most no less.
func WithBackoff(first, most time.Duration) Option {
	if first <= 0 || most < first {
		panic(fmt.Sprintf("source: back-off of %v to %v", first, most))
	}
	return func(o *config) { o.backoffMin, o.backoffMax = first, most }
}

// WithReadTimeout bounds how long a source may take to answer (10 s). One whose
// call of Sample has not returned by then is put into quarantine, and not
// called again before it has. So is a credited one that had nothing for as
// long.
func WithReadTimeout(d time.Duration) Option { return func(o *config) { o.readTimeout = d } }

// WithGrace sets how long Run waits, once its context is done, for a source
// that does not honour it (1 s), before it closes it, and again before it
// leaves it behind.
func WithGrace(d time.Duration) Option { return func(o *config) { o.grace = d } }

// WithNotify sets a function that gets the new Status at each change of state.
// It is called by the goroutines of the sources, several at once, and must
// not block; it may call methods of the Harvester.
func WithNotify(f func(Status)) Option { return func(o *config) { o.notify = f } }
