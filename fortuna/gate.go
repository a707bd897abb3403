package fortuna

import "sync/atomic"

// gate is the one word that every read looks at. Above two flags it counts epochs: each reseed begins a new
// one, and a shard may give out only what was made in the current one. Epoch 0 is before the first seed.
type gate struct{ word atomic.Uint64 }

const (
	gateReady  = 1 << 0 // pool 0 holds MinPoolSize bytes
	gateClosed = 1 << 1
	gateEpoch  = 1 << 2 // one epoch
)

func (g *gate) load() uint64  { return g.word.Load() }
func (g *gate) epoch() uint64 { return g.word.Load() &^ gateReady } // equals no shard's when closed
func (g *gate) advance()      { g.word.Add(gateEpoch) }
func (g *gate) close()        { g.word.Or(gateClosed) }
func (g *gate) closed() bool  { return g.word.Load()&gateClosed != 0 }
func (g *gate) clearReady()   { g.word.And(^uint64(gateReady)) }

// setReady writes only when there is something to change: the word stays in all readers' caches.
func (g *gate) setReady() {
	if g.word.Load()&gateReady == 0 {
		g.word.Or(gateReady)
	}
}
