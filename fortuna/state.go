package fortuna

import "sync/atomic"

// state is the one word that every read looks at. Above two flags it counts
// epochs: each reseed begins a new one, and a shard may give out only what was
// made in the current one. Epoch 0 is before the first seed.
type state struct{ word atomic.Uint64 }

const (
	stateReady  = 1 << 0 // pool 0 holds MinPoolSize bytes
	stateClosed = 1 << 1
	stateEpoch  = 1 << 2 // one epoch
)

func (g *state) load() uint64  { return g.word.Load() }
func (g *state) epoch() uint64 { return g.word.Load() &^ stateReady } // equals no shard's when closed
func (g *state) advance()      { g.word.Add(stateEpoch) }
func (g *state) close()        { g.word.Or(stateClosed) }
func (g *state) closed() bool  { return g.word.Load()&stateClosed != 0 }
func (g *state) clearReady()   { g.word.And(^uint64(stateReady)) }

// setReady writes only when there is something to change: the word stays in all
// readers' caches.
func (g *state) setReady() {
	if g.word.Load()&stateReady == 0 {
		g.word.Or(stateReady)
	}
}
