package fortuna

import (
	"bytes"
	"crypto/sha256"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// only returns the one shard that holds anything.
func only(t *testing.T, f *Fortuna) *shard {
	t.Helper()
	var found *shard
	for i := range f.shards.all {
		if s := &f.shards.all[i]; s.buf != nil {
			require.Nil(t, found, "one goroutine used two shards")
			found = s
		}
	}
	require.NotNil(t, found)
	return found
}

// oneShard keeps the tests below on a single shard: under the race detector a
// sync.Pool forgets at random.
func oneShard(f *Fortuna) *Fortuna {
	f.shards.all = f.shards.all[:1]
	return f
}

func TestSmallReadsLeaveNothing(t *testing.T) {
	f := oneShard(seededFortuna())
	for _, n := range []int{1, 31, 32, 1000, smallRead, smallRead, smallRead, smallRead, 500, 3} {
		out := read(t, f, n)
		s := only(t, f)
		given := s.buf[:shardBuffer-s.left]
		assert.Equal(t, make([]byte, len(given)), given, "what was given, and the key before it, is zero")
		if n >= 16 {
			assert.False(t, bytes.Contains(s.buf[:], out[len(out)-16:]))
			assert.False(t, bytes.Contains(s.key[:], out[len(out)-16:]))
		}
	}
}

func TestRefillReplacesKey(t *testing.T) {
	f := oneShard(seededFortuna())
	read(t, f, 1)
	s := only(t, f)
	for range 5 {
		key := s.key
		m := &Generator{key: key}
		stream := model(m, shardBuffer)
		read(t, f, smallRead)
		for s.key == key {
			read(t, f, 100)
		}
		assert.Equal(t, stream[:keySize], s.key[:], "the next key is the first 32 bytes of the refill")
		assert.True(t, bytes.HasSuffix(stream, s.buf[shardBuffer-s.left:]))
		assert.False(t, bytes.Contains(s.buf[:], s.key[:]), "the key stands in one place alone")
	}
}

// A reseed of either kind overwrites what every shard held.
func TestReseedDiscards(t *testing.T) {
	reseeds := map[string]func(*Fortuna){
		"explicit": func(f *Fortuna) { f.Reseed([]byte("more")) },
		"pools": func(f *Fortuna) {
			addBytes(t, f, 0, 64)
			f.reseedFromPools()
		},
		"close": func(f *Fortuna) { f.Close() },
	}
	for name, reseed := range reseeds {
		t.Run(name, func(t *testing.T) {
			f := New()
			f.shards.all = make([]shard, 4)
			f.Reseed([]byte("discard"))
			for i := range f.shards.all {
				s := &f.shards.all[i]
				s.mu.Lock()
				require.NoError(t, f.readSlow(s, make([]byte, 10)))
				s.mu.Unlock()
				require.NotZero(t, s.key)
				require.NotZero(t, *s.buf)
			}
			reseed(f)
			for i := range f.shards.all {
				s := &f.shards.all[i]
				assert.Zero(t, s.key)
				assert.Zero(t, *s.buf)
				assert.Zero(t, s.left)
			}
			assert.Zero(t, f.digests)
			assert.Zero(t, f.gen.scratch)
		})
	}
}

func TestCloseWipes(t *testing.T) {
	f := seededFortuna()
	for pool := range NumPools {
		addBytes(t, f, pool, 34)
	}
	read(t, f, 5000)
	require.NoError(t, f.Close())
	assert.Zero(t, f.gen)
	for i := range f.pools {
		assert.Zero(t, f.pools[i].size)
		assert.Zero(t, f.pools[i].event)
		assertHashWiped(t, f.pools[i].hash)
	}
}

func TestEventsLeaveNoCopy(t *testing.T) {
	f := New()
	for range 3 { // more than a block, so that the hash has had every byte of its own block in use
		require.NoError(t, f.AddEvent(1, 5, bytes.Repeat([]byte{0xa5}, MaxEvent)))
	}
	assert.Zero(t, f.pools[5].event)
	var digest [32]byte
	f.pools[5].take(&digest)
	assertHashWiped(t, f.pools[5].hash)
}

// assertHashWiped looks into the standard library's hash, as far as it has the
// fields we know.
func assertHashWiped(t *testing.T, h any) {
	t.Helper()
	x := reflect.ValueOf(h).Elem().FieldByName("x")
	if !x.IsValid() || x.Kind() != reflect.Array || x.Len() != sha256.BlockSize {
		t.Skip("crypto/sha256 keeps its block elsewhere now: look whether scrub.Hash still overwrites it")
	}
	for i := range x.Len() {
		require.Zero(t, x.Index(i).Uint(), "byte %d of the hash's block", i)
	}
}

// reseeding is the real counter mode, with something that happens at each
// reseed.
type reseeding struct {
	bigEndian
	then func()
}

func (m reseeding) increment(ctr *[blockSize]byte) {
	m.bigEndian.increment(ctr)
	m.then()
}

// A long read that fails at its second request must not leave the first in the
// caller's slice. Each request finds the pools full: with the first one's
// reseed they are so again, and 100 ms go by; with the second one's the state
// is closed.
func TestFailedReadClears(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := New()
		f.Reseed([]byte("seed"))
		reseeds := 0
		f.gen.mode = reseeding{then: func() {
			if reseeds++; reseeds == 2 {
				f.state.close()
				return
			}
			time.Sleep(MinReseedInterval)
			addBytes(t, f, 0, 64)
		}}
		addBytes(t, f, 0, 64)
		p := make([]byte, 2*MaxRequest)
		n, err := f.Read(p)
		assert.ErrorIs(t, err, ErrClosed)
		assert.Zero(t, n)
		assert.Equal(t, 2, reseeds)
		assert.EqualValues(t, 1, f.Stats().Reads, "the first request was served")
		assert.Equal(t, len(p), bytes.Count(p, []byte{0}))
	})
}
