package host

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xentropyd/xentropyd/internal/cputime"
	"github.com/xentropyd/xentropyd/transport"
)

// forgetAfter is how long a guest that is gone stays in the table, if it owes
// nothing to its budget.
const forgetAfter = 10 * time.Minute

// maxGone is how many guests that are gone are remembered of a group: who asks
// for the status pays for them.
const maxGone = 64

// record is what the server remembers of one guest over its sessions. Guarded
// by guests.mu.
type record struct {
	peer     transport.Peer
	label    string
	budget   Budget
	bucket   *bucket   // its group's, if the budget is an entry of the configuration
	common   bool      // the budget is the common one
	renewal  debouncer // of its generation
	protocol int

	// generation is the guest's current one, a number of the server's counter.
	// It changes with the peer's incarnation and when somebody begins a new
	// one; no two incarnations of any guests share a number, so that a clone
	// which the carrier takes for a new guest hears another number than the one
	// in its memory.
	generation atomic.Uint64

	cpu   cputime.Sum    // of all its sessions
	share *cputime.Share // of a core, for all of them

	sessions   int // connected now
	connects   uint64
	seeds      uint64
	bytes      uint64
	credited   uint64 // bits
	refused    uint64
	frames     uint64 // received
	slowed     uint64 // times that it was made to wait, for sending too fast or for its CPU time
	broken     uint64 // sessions ended for breaking the protocol or the ring
	acked      uint64 // seeds whose library target was acknowledged
	kernelOK   uint64 // seeds whose kernel target was acknowledged
	failed     uint64 // outcomes that the guest reported as failed
	lastFail   string
	lastSeed   time.Time
	lastAck    time.Time
	ackedGen   uint64 // the newest generation that it acknowledged
	seededGen  uint64 // the newest generation of which its own generator has a seed
	kernelBits uint64 // bits that the guest says its kernel was credited
	kernelGen  uint64 // the newest generation of which its kernel has a seed
	kernelAck  time.Time
	gone       time.Time
	lastError  string
}

// guests is the table of all guests known.
type guests struct {
	mu          sync.Mutex
	records     map[string]*record
	gone        map[string]int // of those, by group
	most        int
	generations uint64 // the last number given out
}

func newGuests(most int) *guests {
	return &guests{records: make(map[string]*record), gone: make(map[string]int), most: most, generations: 1}
}

// next gives out a generation number. The caller holds mu.
func (g *guests) next() uint64 {
	g.generations++
	return g.generations
}

// renew begins a new generation for all guests, those that are gone included,
// and returns its number.
func (g *guests) renew() (generation uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	generation = g.next()
	for _, r := range g.records {
		r.generation.Store(generation)
	}
	return generation
}

// renewOne is renew for the guest with this ID.
func (g *guests) renewOne(id string) (generation uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	generation = g.next()
	if r := g.records[id]; r != nil { // else it is forgotten, and gets a newer one when it comes
		r.generation.Store(generation)
	}
	return generation
}

// connect returns the peer's record with one session more. A new one has this
// budget and this bucket.
func (g *guests) connect(p transport.Peer, cfg *Config, e entry, b *bucket) *record {
	g.mu.Lock()
	defer g.mu.Unlock()
	r := g.records[p.ID]
	if r == nil {
		if len(g.records) >= g.most {
			g.evictOldest(func(*record) bool { return true }, 8)
		}
		r = &record{
			peer: p, budget: e.budget, bucket: b, common: e.name == "",
			share: cputime.NewShare(cfg.Limits.CPUShare, cpuBurst),
		}
		r.generation.Store(g.next())
		g.records[p.ID] = r
	} else if r.peer.Incarnation != p.Incarnation {
		r.generation.Store(g.next())
	}
	if r.sessions == 0 && r.connects > 0 {
		g.count(r, -1)
	}
	r.peer = p
	r.sessions++
	r.connects++
	return r
}

// disconnect takes the session back.
func (g *guests) disconnect(r *record, now time.Time, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	r.sessions--
	r.gone = now
	if err != nil {
		r.lastError = err.Error()
	}
	if r.sessions > 0 {
		return
	}
	if g.count(r, 1); g.gone[r.peer.Group] > maxGone {
		g.evictOldest(func(o *record) bool { return o.peer.Group == r.peer.Group }, 2)
	}
}

// count notes that a group has one more, or one less, that is gone. The caller
// holds mu.
func (g *guests) count(r *record, n int) {
	if g.gone[r.peer.Group] += n; g.gone[r.peer.Group] == 0 {
		delete(g.gone, r.peer.Group)
	}
}

// drop forgets a guest that is gone. The caller holds mu.
func (g *guests) drop(r *record) {
	g.count(r, -1)
	delete(g.records, r.peer.ID)
}

// update changes a record under the table's lock.
func (g *guests) update(r *record, f func(*record)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f(r)
}

// forget drops the guests that have long gone and owe nothing.
func (g *guests) forget(now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, r := range g.records {
		if r.sessions == 0 && now.Sub(r.gone) >= forgetAfter && r.bucket.full(now) {
			g.drop(r)
		}
	}
}

// find returns the record of the guest with this ID, nil if there is none.
func (g *guests) find(id string) *record {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.records[id]
}

// evictOldest makes room: it drops a part of those that are gone and meant, the
// longest gone first. The caller holds mu.
func (g *guests) evictOldest(meant func(*record) bool, part int) {
	var gone []*record
	for _, r := range g.records {
		if r.sessions == 0 && meant(r) {
			gone = append(gone, r)
		}
	}
	slices.SortFunc(gone, func(a, b *record) int { return a.gone.Compare(b.gone) })
	for _, r := range gone[:min(len(gone), max(1, len(gone)/part))] {
		g.drop(r)
	}
}
