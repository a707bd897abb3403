package source

import (
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
	clock                  Clock
	log                    *slog.Logger
	alpha                  float64
	pace                   func(Info) Pace
	backoffMin, backoffMax time.Duration
	readTimeout, grace     time.Duration
	notify                 func(Status)
}

func defaultConfig() config {
	return config{
		clock: systemClock{}, log: slog.New(slog.DiscardHandler), alpha: health.DefaultAlpha, pace: DefaultPace,
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

// WithClock sets the clock of back-off, pace and rates.
func WithClock(c Clock) Option { return func(o *config) { o.clock = c } }

// WithLogger sets where changes of state are logged. Samples never are. The
// default logs nothing.
func WithLogger(l *slog.Logger) Option { return func(o *config) { o.log = l } }

// WithAlpha sets the false-alarm probability of the health tests
// ([health.DefaultAlpha]).
func WithAlpha(alpha float64) Option { return func(o *config) { o.alpha = alpha } }

// WithPace sets the pace of each source ([DefaultPace]). An interval of zero
// or less, or a batch of no samples, is replaced by the default's.
func WithPace(f func(Info) Pace) Option { return func(o *config) { o.pace = f } }

// WithBackoff sets how long a failed source waits before it is tried again:
// first, then twice as long each time, up to most (1 s and 5 min). A first wait
// that is not positive is replaced by the default.
func WithBackoff(first, most time.Duration) Option {
	if first <= 0 {
		first = defaultBackoffMin
	}
	return func(o *config) { o.backoffMin, o.backoffMax = first, max(first, most) }
}

// WithReadTimeout bounds how long a source may take to answer (10 s). One whose
// call of Sample has not returned by then is put into quarantine, and not called
// again before it has. So is a credited one that had nothing for as long.
func WithReadTimeout(d time.Duration) Option { return func(o *config) { o.readTimeout = d } }

// WithGrace sets how long Run waits, once its context is done, for a source
// that does not honour it (1 s), before it closes it, and again before it leaves
// it behind.
func WithGrace(d time.Duration) Option { return func(o *config) { o.grace = d } }

// WithNotify sets a function that gets the new Status at each change of state.
// It is called by the goroutines of the sources, several at once, and must
// not block; it may call methods of the Harvester.
func WithNotify(f func(Status)) Option { return func(o *config) { o.notify = f } }
