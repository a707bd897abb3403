package fortuna

import "time"

// What the book and MirageOS fix (Cryptography Engineering, sections 9.4 and
// 9.5).
const (
	// NumPools is the number of entropy pools. Pool i joins reseed r when 2^i
	// divides r, so that at ten reseeds a second the last one waits 2^31 / 10
	// s, which is more than 6 years.
	NumPools = 32

	// MaxEvent is the longest event in bytes (section 9.5.6).
	MaxEvent = 32

	// MinPoolSize is what pool 0 must hold before it reseeds, in bytes, each
	// event's two header bytes included.
	MinPoolSize = 64

	// MinReseedInterval is the shortest time between two reseeds from the pools
	// (section 9.5.5).
	MinReseedInterval = 100 * time.Millisecond

	// MaxRequest is the longest stretch of output under one key: 2^20 bytes
	// (section 9.4.4). A permutation shows no repeated block where random data
	// would, with a chance of about 2^(2*16-1-128) in 2^16 blocks.
	MaxRequest = 1 << 20

	keySize   = 32 // AES-256
	blockSize = 16 // AES
)

// What we chose.
const (
	// smallRead is the longest read in bytes that is served from a buffer: a
	// quarter of one, so that long reads neither drain it at once nor hold its
	// lock. Above it, a read sets up a key of its own.
	smallRead = 1024

	// shardBuffer is what one refill makes in bytes, the next key included: 127
	// reads of 32 bytes share the cost of one key set-up, and a page is little
	// enough to keep for each core.
	shardBuffer = 4096

	// maxRestarts bounds how often one read starts over because the generation
	// changed under it.
	maxRestarts = 8
)
