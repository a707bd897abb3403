package fortuna

import (
	"crypto/sha256"
	"hash"
)

// shad256 finishes h and returns SHA-256(SHA-256(what was written)), then wipes h for the next use.
func shad256(h hash.Hash, digest *[sha256.Size]byte) {
	h.Sum(digest[:0])
	*digest = sha256.Sum256(digest[:])
	wipeHash(h)
}

// wipeHash resets h and overwrites the block that it buffers. Reset alone leaves up to 63 bytes of input in
// memory; a lone byte and then 63 more pass through the buffer, which a whole block at once would not.
func wipeHash(h hash.Hash) {
	h.Reset()
	h.Write(zeros[:1])
	h.Write(zeros[1:sha256.BlockSize])
	h.Reset()
}
