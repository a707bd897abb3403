package fortuna

import (
	"crypto/sha256"
	"hash"
	"sync"

	"github.com/xentropyd/xentropyd/internal/scrub"
)

// pool is one entropy pool P_i. The hash of the string is kept in place of the
// string.
type pool struct {
	mu   sync.Mutex
	hash hash.Hash
	size uint64 // length(P_i) in bytes, headers included

	event  [2 + MaxEvent]byte // here rather than on the stack, which hash.Hash would make it leave
	closed bool
	ready  *state // pool 0 tells here that it holds MinPoolSize, nil for the others
}

// add appends an event of at most MaxEvent bytes. The error is ErrClosed or
// nil.
func (p *pool) add(source uint8, data []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return ErrClosed
	}
	if p.hash == nil {
		p.hash = sha256.New()
	}
	event := append(p.event[:0], source, uint8(len(data)))
	event = append(event, data...)
	p.hash.Write(event)
	clear(event)
	p.size += uint64(len(event))
	if p.ready != nil && p.size >= MinPoolSize {
		p.ready.setReady() // under the lock, lest take empties the pool in between
	}
	return nil
}

// take writes the pool's digest and empties the pool.
func (p *pool) take(digest *[sha256.Size]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hash == nil {
		p.hash = sha256.New()
	}
	shad256(p.hash, digest)
	p.size = 0
	if p.ready != nil {
		p.ready.clearReady()
	}
}

// close empties the pool for good and overwrites the hash.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hash != nil {
		scrub.Hash(p.hash)
	}
	p.size = 0
	p.closed = true
}

// joins says whether pool i takes part in reseed r: 2^i | r.
func joins(i int, r uint64) bool { return r&(1<<i-1) == 0 }
