package fortuna

// Stats counts what a Fortuna has done. The counts are no secret. Each is
// exact; together they are a snapshot only while nothing else runs.
type Stats struct {
	Seeds       uint64 // calls of Reseed
	PoolReseeds uint64 // reseeds from the pools
	Renewals    uint64 // reseeds because the generation had changed
	Events      uint64 // events added
	Reads       uint64 // requests served, one for each MaxRequest bytes of a long read
	Bytes       uint64 // bytes given
}

// Reseeds returns how often the generator was reseeded, for whatever reason.
func (f *Fortuna) Reseeds() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seeds + f.poolReseeds + f.renewals
}

// Stats returns the counts so far, also after Close.
func (f *Fortuna) Stats() Stats {
	st := Stats{Events: f.events.Load()}
	f.mu.Lock()
	st.Seeds, st.PoolReseeds, st.Renewals = f.seeds, f.poolReseeds, f.renewals
	f.mu.Unlock()
	for i := range f.shards.all {
		s := &f.shards.all[i]
		s.mu.Lock()
		st.Reads += s.reads
		st.Bytes += s.bytes
		s.mu.Unlock()
	}
	return st
}
