package fortuna

import (
	"crypto/sha256"
	"hash"

	"github.com/xentropyd/xentropyd/internal/scrub"
)

// shad256 finishes h and returns SHA-256(SHA-256(what was written)), then wipes
// h for the next use. Run it inside scrub.Do: the end of what was hashed goes
// through the stack.
func shad256(h hash.Hash, digest *[sha256.Size]byte) {
	h.Sum(digest[:0])
	*digest = sha256.Sum256(digest[:])
	scrub.Hash(h)
}
