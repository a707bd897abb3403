package fortuna

import (
	"crypto/sha256"

	"github.com/xentropyd/xentropyd/internal/scrub"
)

// Generator is Fortuna's generator alone, with MirageOS's schedule: AES-256 in
// counter mode with a 128-bit big-endian counter, rekeyed after each request.
// It is deterministic: the same seeds and the same sequence of read lengths
// give the same bytes. Not safe for concurrent use.
type Generator struct {
	key     [keySize]byte
	ctr     [blockSize]byte // zero means not seeded, as in the book
	scratch [blockSize]byte // the last block of a request, when p ends inside it
	mode    blockMode       // nil is bigEndian, so that a zero Generator works
}

// NewGenerator returns a generator that is not seeded.
func NewGenerator() *Generator {
	// (K, C) <- (0, 0)
	return new(Generator)
}

// Reseed mixes a seed of any length into the key and marks the generator as
// seeded. The caller keeps the seed and should wipe it.
func (g *Generator) Reseed(seed []byte) {
	scrub.Do(func() { g.reseed(seed) })
}

func (g *Generator) reseed(seed []byte) {
	// K <- SHAd-256(K || s)
	h := sha256.New()
	h.Write(g.key[:])
	h.Write(seed)
	shad256(h, &g.key)
	// C <- C + 1
	g.counterMode().increment(&g.ctr)
}

// Read fills p and returns its length; the error is ErrNotSeeded or nil. Reads
// over MaxRequest bytes count as several requests, and a read of nothing as
// none.
func (g *Generator) Read(p []byte) (int, error) {
	// assert C != 0
	if !g.seeded() {
		return 0, ErrNotSeeded
	}
	for rest := p; len(rest) > 0; {
		// assert 0 <= n <= 2^20
		n := min(len(rest), MaxRequest)
		// r <- first-n-bytes(GenerateBlocks(G, ceil(n/16)))
		// K <- GenerateBlocks(G, 2)
		protect(func() { g.counterMode().request(g, rest[:n]) })
		rest = rest[n:]
	}
	return len(p), nil
}

// Wipe overwrites the state. The generator is as new afterwards: not seeded.
func (g *Generator) Wipe() {
	clear(g.key[:])
	clear(g.ctr[:])
	clear(g.scratch[:])
}

func (g *Generator) seeded() bool { return g.ctr != [blockSize]byte{} }

func (g *Generator) counterMode() blockMode {
	if g.mode == nil {
		return bigEndian{}
	}
	return g.mode
}
