package fortuna

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
)

// tinyBlocks is the longest request in blocks that is encrypted without a
// cipher.Stream: one block at a time costs 9 ns each, a stream 2.3 ns each and
// 512 bytes and 100 to 200 ns to make.
const tinyBlocks = 16

// zeros is what keystream is made from: a source that stays in the first-level
// cache costs less than clearing the destination first. Never written.
var zeros [16 << 10]byte

// blockMode is the block cipher in counter mode: what the book's generator and
// MirageOS's differ in.
type blockMode interface {
	// increment adds one to the counter.
	increment(ctr *[blockSize]byte)
	// request fills p with the first bytes of ceil(len(p)/16) blocks, then
	// g.key with the two blocks after them, and leaves g.ctr behind those.
	request(g *Generator, p []byte)
}

// bigEndian is plain AES-256-CTR, as MirageOS has it.
type bigEndian struct{}

func (bigEndian) increment(ctr *[blockSize]byte) { addCounter(ctr, 1) }

func (bigEndian) request(g *Generator, p []byte) {
	block := newCipher(&g.key)
	whole := len(p) &^ (blockSize - 1)
	if whole <= tinyBlocks*blockSize {
		tinyRequest(g, block, p, whole)
		return
	}
	stream := cipher.NewCTR(block, g.ctr[:])
	addCounter(&g.ctr, uint64(whole/blockSize)+keySize/blockSize)
	fill(stream, p[:whole])
	if whole < len(p) {
		fill(stream, g.scratch[:])
		addCounter(&g.ctr, 1)
		copy(p[whole:], g.scratch[:])
		clear(g.scratch[:])
	}
	fill(stream, g.key[:])
}

// tinyRequest is request block by block. whole is the length of p's whole
// blocks.
func tinyRequest(g *Generator, block cipher.Block, p []byte, whole int) {
	next := func(dst []byte) {
		block.Encrypt(dst, g.ctr[:])
		addCounter(&g.ctr, 1)
	}
	for i := 0; i < whole; i += blockSize {
		next(p[i:])
	}
	if whole < len(p) {
		next(g.scratch[:])
		copy(p[whole:], g.scratch[:])
		clear(g.scratch[:])
	}
	for i := 0; i < keySize; i += blockSize {
		next(g.key[i:])
	}
}

// fill writes keystream to p.
func fill(stream cipher.Stream, p []byte) {
	for len(p) > 0 {
		n := min(len(p), len(zeros))
		stream.XORKeyStream(p[:n], zeros[:n])
		p = p[n:]
	}
}

// newCipher expands a key.
func newCipher(key *[keySize]byte) cipher.Block {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		// Only a key of another length is an error, and the type leaves no
		// other.
		panic("fortuna: AES-256 refused a key of 32 bytes: " + err.Error())
	}
	return block
}

// addCounter adds n to a big-endian counter of 128 bits.
func addCounter(ctr *[blockSize]byte, n uint64) {
	low := binary.BigEndian.Uint64(ctr[8:])
	binary.BigEndian.PutUint64(ctr[8:], low+n)
	if low+n < low {
		binary.BigEndian.PutUint64(ctr[:8], binary.BigEndian.Uint64(ctr[:8])+1)
	}
}
