// Package gather takes what a source.Harvester delivers to a fortuna.Fortuna:
// [Collector.Absorb] is the harvester's sink, [Collector.Seed] gives Fortuna
// its first seed. Host and guest both stand on it.
//
// Until the first seed, samples go into one SHA-512 and their assessed entropy
// is counted; afterwards they are events for Fortuna's 32 pools, in turn.
package gather

import (
	"crypto/sha512"
	"hash"
	"slices"
	"sync"

	"github.com/xentropyd/xentropyd/fortuna"
	"github.com/xentropyd/xentropyd/internal/scrub"
	"github.com/xentropyd/xentropyd/source"
)

// Need is the assessed min-entropy in bits that makes a seed of full strength:
// 256, and the 64 more with which the output of a vetted conditioner has full
// entropy (SP 800-90B, 3.1.5.1.2).
const Need = source.SeedBits + source.MarginBits

// Collector stands between the sources and one Fortuna. Its methods may be
// called from several goroutines.
type Collector struct {
	fortuna *fortuna.Fortuna
	kernel  *Kernel
	ledger  source.Ledger
	enough  chan struct{}

	mu      sync.Mutex
	initial hash.Hash // nil once Seed was called
	next    [256]uint8
	refused error // the first event that Fortuna refused
}

// New returns a pool for f, which should have been made with
// fortuna.WithExplicitSeed.
func New(f *fortuna.Fortuna, k *Kernel) *Collector {
	return &Collector{fortuna: f, kernel: k, enough: make(chan struct{}), initial: sha512.New()}
}

// Absorb takes a batch in. It is a source.Sink.
func (p *Collector) Absorb(b source.Batch) {
	defer scrub.Stack()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ledger.Add(b.Bits)
	if p.ledger.Total() >= Need {
		select {
		case <-p.enough:
		default:
			close(p.enough)
		}
	}
	if p.initial != nil {
		p.initial.Write([]byte{b.Info.ID, byte(len(b.Data)), byte(len(b.Data) >> 8)})
		p.initial.Write(b.Data)
		return
	}
	for data := range slices.Chunk(b.Data, fortuna.MaxEvent) {
		i := &p.next[b.Info.ID]
		if err := p.fortuna.AddEvent(b.Info.ID, int(*i), data); err != nil && p.refused == nil {
			p.refused = err
		}
		*i = (*i + 1) % fortuna.NumPools
	}
}

// Enough is closed once Need bits have come in.
func (p *Collector) Enough() <-chan struct{} { return p.enough }

// HasEnough says whether Enough is closed.
func (p *Collector) HasEnough() bool { return p.ledger.Total() >= Need }

// Bits is all the assessed min-entropy that ever came in.
func (p *Collector) Bits() float64 { return p.ledger.Total() }

// Refused returns the first error of Fortuna about an event, nil in good order.
func (p *Collector) Refused() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.refused
}

// Seed reseeds Fortuna with what was absorbed so far, the kernel's RNG where it
// answers, and more (a kept seed, a host's). It may be called again: what came
// in since the first time is in Fortuna's pools then. The caller wipes more.
func (p *Collector) Seed(more ...[]byte) {
	var noise, kernel [sha512.Size]byte
	defer clear(noise[:])
	defer clear(kernel[:])
	p.kernel.Fill(kernel[:])
	p.mu.Lock()
	if p.initial != nil {
		scrub.Do(func() {
			p.initial.Sum(noise[:0])
			scrub.Hash(p.initial)
		})
		p.initial = nil // from here on samples go to the pools
	}
	p.mu.Unlock()
	material := slices.Concat(append([][]byte{noise[:], kernel[:]}, more...)...)
	defer clear(material)
	p.fortuna.Reseed(material)
}
