package fortuna

// Option changes what New makes.
type Option func(*Fortuna)

// WithExplicitSeed leaves the first seeding to Reseed: before it, the pools
// collect but do not reseed, and reads return ErrNotSeeded. It is for callers
// who assess entropy and want to say themselves when there is enough. The
// default is the book's rule, by which 64 bytes of events in pool 0 are a seed
// whatever their entropy.
func WithExplicitSeed() Option {
	return func(f *Fortuna) { f.explicit = true }
}

// WithFreshness makes every read ask fresh whether the state may have been
// cloned. See Freshness.
func WithFreshness(fresh Freshness) Option {
	return func(f *Fortuna) { f.fresh = fresh }
}
