package host

import (
	"log/slog"
	"sync"
	"time"
)

const (
	// renewalEvery is the least time between two generations of one guest, or
	// of all of them, that somebody begins.
	renewalEvery = 250 * time.Millisecond

	// renewalLogEvery is the least time between two lines about them.
	renewalLogEvery = time.Second
)

// debouncer makes one of renewals that come close together: the first takes
// effect at once, those that come within renewalEvery take effect together at
// its end. The zero debouncer is ready.
type debouncer struct {
	mu   sync.Mutex
	last time.Time // of the last that took effect
	next *renewal  // which those that come join, or nil
}

// renewal is one that will take effect.
type renewal struct {
	decided    chan struct{} // closed when generation is set
	generation uint64
}

// do has begin called after it was called itself, and returns the number that
// begin gave. stopped ends the wait for the end of the interval, not the
// renewal.
func (p *debouncer) do(stopped <-chan struct{}, begin func() uint64) uint64 {
	p.mu.Lock()
	if r := p.next; r != nil {
		p.mu.Unlock()
		<-r.decided
		return r.generation
	}
	wait := time.Duration(0)
	if !p.last.IsZero() {
		wait = min(renewalEvery, time.Until(p.last.Add(renewalEvery)))
	}
	if wait <= 0 {
		defer p.mu.Unlock()
		p.last = time.Now()
		return begin()
	}
	r := &renewal{decided: make(chan struct{})}
	p.next = r
	p.mu.Unlock()
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
	case <-stopped:
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next, p.last = nil, time.Now() // who comes from here on is not covered any more
	r.generation = begin()
	close(r.decided)
	return r.generation
}

// renewals is what is said of them.
type renewals struct {
	all   debouncer     // of those for everybody
	begun chan struct{} // of capacity 1: there is something to log

	mu         sync.Mutex
	asked      int    // times since the last line
	generation uint64 // the newest
	guest      string // the one guest that they were for
	several    bool   // they were for more than one
}

func newRenewals() *renewals { return &renewals{begun: make(chan struct{}, 1)} }

// note counts a request that was answered. guest is empty for everybody.
func (r *renewals) note(generation uint64, guest string) {
	r.mu.Lock()
	r.several = r.asked > 0 && (r.several || r.guest != guest)
	r.asked++
	r.generation, r.guest = max(r.generation, generation), guest
	r.mu.Unlock()
	select {
	case r.begun <- struct{}{}:
	default:
	}
}

// log writes one line about all requests since the last one, if there were any.
func (r *renewals) log(log *slog.Logger) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.asked == 0 {
		return
	}
	guest := r.guest
	switch {
	case r.several:
		guest = "several"
	case guest == "":
		guest = "all"
	}
	log.Info("new generation begun", "generation", r.generation, "for", guest, "requests", r.asked)
	r.asked, r.several = 0, false
}

// NewGeneration begins a new generation for every guest: each is pushed a fresh
// seed that voids all earlier ones, and acknowledges it. Call it when the
// guests' state may have been copied. It returns the number of a generation
// that began after the call; calls that come within a quarter of a second share
// one, and return when it has begun.
func (s *Server) NewGeneration() uint64 {
	g := s.renewals.all.do(s.stopped, func() uint64 {
		generation := s.guests.renew()
		s.kick(everybody)
		return generation
	})
	s.renewals.note(g, "")
	return g
}

// NewGenerationFor is NewGeneration for the guest with this ID alone: nobody
// else is woken. It returns false, and nothing happens, if there is none.
func (s *Server) NewGenerationFor(id string) (generation uint64, ok bool) {
	r := s.guests.find(id)
	if r == nil {
		return 0, false
	}
	generation = r.renewal.do(s.stopped, func() uint64 {
		generation := s.guests.renewOne(id)
		s.kick(func(ses *session) bool { return ses.peer.ID == id })
		return generation
	})
	s.renewals.note(generation, id)
	return generation, true
}
