package fortuna

import (
	"crypto/cipher"
	"runtime"
	"sync"
	"sync/atomic"
)

// shard is a buffer of output ready to be given, refilled by fast key erasure:
// each refill is the keystream of a key that is used once, and its first 32
// bytes are the next key. What was given is overwritten, so that the memory
// never holds a byte that somebody has.
type shard struct {
	mu    sync.Mutex
	epoch uint64             // of the state, when key was drawn; noEpoch before that
	left  int                // bytes not given yet, at the end of buf; the rest of buf is zero
	buf   *[shardBuffer]byte // nil until the first refill
	key   [keySize]byte      // of the next refill
	reads uint64             // statistics
	bytes uint64

	_ [128]byte // a cache line apart from the next, and out of the adjacent-line prefetcher's way
}

// noEpoch is what the state never shows.
const noEpoch = ^uint64(0)

// give fills p, which must not be longer than what is left.
func (s *shard) give(p []byte) {
	out := s.buf[shardBuffer-s.left:][:len(p)]
	copy(p, out)
	clear(out)
	s.left -= len(p)
}

// refill makes a new buffer and a new key. The key must have been drawn.
func (s *shard) refill() {
	if s.buf == nil {
		s.buf = new([shardBuffer]byte)
	}
	fill(cipher.NewCTR(newCipher(&s.key), zeros[:blockSize]), s.buf[:])
	copy(s.key[:], s.buf[:keySize])
	clear(s.buf[:keySize])
	s.left = shardBuffer - keySize
}

// wipe overwrites what is left and the key.
func (s *shard) wipe() {
	if s.left > 0 {
		clear(s.buf[shardBuffer-s.left:])
		s.left = 0
	}
	clear(s.key[:])
	s.epoch = noEpoch
}

// shards are all the shards of a Fortuna. The sync.Pool gives each processor
// the shard that it used last; it holds nothing but pointers to shards that all
// keeps, so that what the garbage collector takes out of it is neither lost nor
// left unwiped.
type shards struct {
	all  []shard
	hint sync.Pool
	next atomic.Uint32
}

func (s *shards) init() {
	s.all = make([]shard, max(runtime.GOMAXPROCS(0), runtime.NumCPU()))
	for i := range s.all {
		s.all[i].epoch = noEpoch
	}
	s.hint.New = func() any { return s.another() }
}

// another goes round all the shards. The remainder is taken of the unsigned
// number: half of them are no int on 32 bits.
func (s *shards) another() *shard { return &s.all[s.next.Add(1)%uint32(len(s.all))] }

// lock returns a locked shard, for unlock. Two processors can come to share one
// shard: the first of them that finds it locked moves on to another.
func (s *shards) lock() *shard {
	x := s.hint.Get().(*shard)
	if !x.mu.TryLock() {
		x = s.another()
		x.mu.Lock()
	}
	return x
}

func (s *shards) unlock(x *shard) {
	x.mu.Unlock()
	s.hint.Put(x)
}
