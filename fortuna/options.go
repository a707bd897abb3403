package fortuna

import "time"

// Option changes what New makes.
type Option func(*Fortuna)

// WithClock replaces the clock that spaces out the reseeds from the pools. It is asked under a lock and must
// not call back; it may be called by several goroutines at once. The default is the monotonic clock.
func WithClock(now func() time.Time) Option {
	return func(f *Fortuna) {
		if now != nil {
			f.now = now
		}
	}
}

// WithExplicitSeed leaves the first seeding to Reseed: before it, the pools collect but do not reseed, and
// reads return ErrNotSeeded. It is for callers who assess entropy and want to say themselves when there is
// enough. The default is the book's rule, by which 64 bytes of events in pool 0 are a seed whatever their
// entropy.
func WithExplicitSeed() Option {
	return func(f *Fortuna) { f.explicit = true }
}

// WithFreshness makes every read ask fresh whether the state may have been cloned. See Freshness.
func WithFreshness(fresh Freshness) Option {
	return func(f *Fortuna) { f.fresh = fresh }
}
