package fortuna

import (
	"crypto/cipher"

	"github.com/xentropyd/xentropyd/internal/scrub"
)

// Read fills p with random bytes and returns its length. No two reads get the
// same bytes. The error is nil, ErrNotSeeded, ErrClosed, or with WithFreshness
// one that wraps ErrStale; with an error, nothing is given.
//
// Reads of up to 1 KiB come out of a buffer. Longer ones are encrypted straight
// into p under keys of their own, at most MaxRequest bytes each, and hold no
// lock meanwhile.
func (f *Fortuna) Read(p []byte) (int, error) {
	if f.fresh != nil {
		return f.readFresh(p)
	}
	return f.read(p)
}

// read is Read without the question of freshness.
func (f *Fortuna) read(p []byte) (int, error) {
	if len(p) > smallRead {
		return f.readLarge(p)
	}
	if err := f.readSmall(p, len(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// readSmall fills p from a shard; as is what the statistics shall show of it.
func (f *Fortuna) readSmall(p []byte, as int) error {
	if f.state.load()&stateReady != 0 {
		f.reseedFromPools()
	}
	// if ReseedCnt = 0 then error, else return PseudoRandomData(G, n)
	s := f.shards.lock()
	if s.epoch == f.state.epoch() && 0 < len(p) && len(p) <= s.left {
		s.give(p)
	} else if err := f.readSlow(s, p); err != nil {
		f.shards.unlock(s)
		return err
	}
	s.reads++
	s.bytes += uint64(as)
	f.shards.unlock(s)
	return nil
}

// readSlow is for a shard, locked, that belongs to an earlier epoch or holds
// too little, and for empty reads, which find out no more than whether there is
// a seed.
func (f *Fortuna) readSlow(s *shard, p []byte) error {
	for rest := p; ; {
		if s.epoch != f.state.epoch() {
			if err := f.keyShard(s); err != nil {
				clear(p)
				return err
			}
		}
		if len(rest) == 0 {
			return nil
		}
		if s.left == 0 {
			protect(s.refill)
		}
		n := min(len(rest), s.left)
		s.give(rest[:n])
		rest = rest[n:]
	}
}

// keyShard empties a shard, locked, and draws its key from the central
// generator.
func (f *Fortuna) keyShard(s *shard) error {
	s.wipe()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state.closed() {
		return ErrClosed
	}
	if _, err := f.gen.Read(s.key[:]); err != nil {
		return err
	}
	s.epoch = f.state.epoch()
	return nil
}

func (f *Fortuna) readLarge(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n := min(len(rest), MaxRequest)
		var key [keySize]byte
		if err := f.readSmall(key[:], n); err != nil {
			clear(p)
			return 0, err
		}
		// The standard library makes the last block on the stack when only a
		// part of it is wanted.
		scrub.Do(func() { fill(cipher.NewCTR(newCipher(&key), zeros[:blockSize]), rest[:n]) })
		wipe(key[:])
		rest = rest[n:]
	}
	return len(p), nil
}

// wipe clears b. It is not inlined, so that the compiler keeps the stores to a
// variable that nobody reads again.
//
//go:noinline
func wipe(b []byte) { clear(b) }

// discard wipes every shard of an earlier epoch. The state has advanced before,
// so that no shard gives from the earlier epoch any more; this overwrites the
// bytes, also in shards that nobody reads from.
func (f *Fortuna) discard() {
	for i := range f.shards.all {
		s := &f.shards.all[i]
		s.mu.Lock()
		if s.epoch != f.state.epoch() {
			s.wipe()
		}
		s.mu.Unlock()
	}
}
