package fortuna

import (
	"crypto/sha256"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xentropyd/xentropyd/internal/scrub"
)

// Fortuna is a generator that reseeds itself from 32 pools. All methods are
// safe for concurrent use. Reads scale with the cores: each takes its bytes
// from one of several shards, which the central generator keys.
type Fortuna struct {
	// Read-mostly, and read by every Read.
	state    state
	fresh    Freshness
	explicit bool
	start    time.Time
	shards   shards
	last     atomic.Int64 // when the pools last reseeded, by elapsed; never before that

	_ [128]byte // keeps what follows out of the readers' cache lines

	pools  [NumPools]pool
	events atomic.Uint64

	// mu guards what follows. Locks are taken in the order renew.mu, shard.mu,
	// mu, pool.mu.
	mu          sync.Mutex
	gen         Generator
	poolReseeds uint64 // ReseedCnt of the book
	seeds       uint64 // calls of Reseed
	renewals    uint64 // successful calls of Renew
	digests     [NumPools * sha256.Size]byte
	renew       renewal
}

// never is before all times.
const never = math.MinInt64

// New returns a Fortuna that is not seeded. It starts no goroutine; Close is
// needed only to wipe it.
func New(opts ...Option) *Fortuna {
	// for i = 0,...,31 do P_i <- empty od
	// ReseedCnt <- 0
	// G <- InitializeGenerator()
	f := &Fortuna{start: time.Now()}
	f.last.Store(never)
	for _, opt := range opts {
		opt(f)
	}
	f.pools[0].ready = &f.state
	f.shards.init()
	if f.fresh != nil {
		f.renew.generation.Store(f.fresh.Generation())
	}
	return f
}

// AddEvent adds 1 to 32 bytes from a noise source to a pool, 0 to 31. A source
// should spread its events over all pools in turn. An event waits for nothing
// but the pool's own lock, and data is not kept. The error is an *EventError or
// ErrClosed.
func (f *Fortuna) AddEvent(source uint8, pool int, data []byte) error {
	// assert 1 <= length(e) <= 32 and 0 <= s <= 255 and 0 <= i <= 31
	if pool < 0 || pool >= NumPools || len(data) < 1 || len(data) > MaxEvent {
		return &EventError{Pool: pool, Size: len(data)}
	}
	// P_i <- P_i || s || length(e) || e
	if err := f.pools[pool].add(source, data); err != nil {
		return err
	}
	f.events.Add(1)
	return nil
}

// Reseed mixes a seed of any length into the generator and marks it as seeded.
// All output that was buffered before is gone when it returns. The pools and
// their schedule are not touched. The caller keeps the seed and should wipe it.
// After Close it does nothing.
func (f *Fortuna) Reseed(seed []byte) { f.mix(seed, &f.seeds) }

// mix reseeds the generator, counts that, and discards what was buffered. It
// returns false when closed.
func (f *Fortuna) mix(seed []byte, count *uint64) bool {
	f.mu.Lock()
	if f.state.closed() {
		f.mu.Unlock()
		return false
	}
	*count++
	f.gen.Reseed(seed)
	f.state.advance()
	f.mu.Unlock()
	f.discard()
	return true
}

// Seeded says whether a read would find a seed: there was a Reseed, or the
// pools have had enough for one.
func (f *Fortuna) Seeded() bool {
	g := f.state.load()
	return g&stateClosed == 0 && (g >= stateEpoch || g&stateReady != 0 && !f.explicit)
}

// reseedFromPools does the first half of the book's RandomData: the reseed,
// when one is due.
func (f *Fortuna) reseedFromPools() {
	if !f.due() {
		return
	}
	f.mu.Lock()
	due := f.due() // no other read was faster
	if due {
		f.last.Store(int64(f.elapsed()))
		scrub.Do(f.mixPoolsLocked)
	}
	f.mu.Unlock()
	if due {
		f.discard()
	}
}

// due says whether the pools should reseed now.
func (f *Fortuna) due() bool {
	// if length(P_0) >= MinPoolSize and last reseed > 100 ms ago then
	g := f.state.load()
	if g&stateClosed != 0 || g&stateReady == 0 || f.explicit && g < stateEpoch {
		return false
	}
	last := f.last.Load()
	if last == never {
		return true
	}
	return f.elapsed()-time.Duration(last) >= MinReseedInterval
}

func (f *Fortuna) mixPoolsLocked() {
	// ReseedCnt <- ReseedCnt + 1
	f.poolReseeds++
	// s <- empty
	s := f.digests[:0]
	// for i in 0,...,31 do
	for i := range f.pools {
		// if 2^i | ReseedCnt then
		if !joins(i, f.poolReseeds) {
			break // no later pool joins either
		}
		// s <- s || SHAd-256(P_i)
		// P_i <- empty
		s = s[:len(s)+sha256.Size]
		f.pools[i].take((*[sha256.Size]byte)(s[len(s)-sha256.Size:]))
	}
	// Reseed(G, s)
	f.gen.reseed(s)
	f.state.advance()
	clear(s)
}

// elapsed is the time since New, by the monotonic clock.
func (f *Fortuna) elapsed() time.Duration { return time.Since(f.start) }

// Close wipes the state: pools, keys and buffers. Reads and events return
// ErrClosed from then on; a read that runs at the same time either gets all its
// bytes or ErrClosed. Closing twice does no harm, and the error is always nil.
func (f *Fortuna) Close() error {
	f.mu.Lock()
	f.state.close()
	f.gen.Wipe()
	for i := range f.pools {
		f.pools[i].close()
	}
	f.mu.Unlock()
	f.discard()
	return nil
}
