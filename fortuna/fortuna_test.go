package fortuna

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// addBytes grows a pool by n bytes, headers included.
func addBytes(t testing.TB, f *Fortuna, pool, n int) {
	t.Helper()
	for n > 0 {
		m := min(n, 2+MaxEvent)
		if rest := n - m; rest > 0 && rest < 3 {
			m -= 3 // an event is at least three bytes long
		}
		require.NoError(t, f.AddEvent(7, pool, make([]byte, m-2)))
		n -= m
	}
}

func TestAddEventRange(t *testing.T) {
	f := New()
	for _, pool := range []int{-1, NumPools, math.MaxInt32} {
		var e *EventError
		require.ErrorAs(t, f.AddEvent(0, pool, []byte{1}), &e)
		assert.Equal(t, pool, e.Pool)
		assert.Contains(t, e.Error(), fmt.Sprintf("pool %d:", pool))
	}
	for _, size := range []int{0, MaxEvent + 1} {
		var e *EventError
		require.ErrorAs(t, f.AddEvent(0, 1, make([]byte, size)), &e)
		assert.Equal(t, size, e.Size)
		assert.Contains(t, e.Error(), fmt.Sprintf("of %d bytes", size))
	}
	assert.EqualError(t, &EventError{Pool: 32}, "fortuna: add event to pool 32: there are pools 0 to 31")
	assert.EqualError(t, &EventError{Pool: 0}, "fortuna: add event of 0 bytes: an event has 1 to 32, split or hash it")
	assert.EqualError(t, &EventError{Pool: 31, Size: 33},
		"fortuna: add event of 33 bytes: an event has 1 to 32, split or hash it")
	assert.Zero(t, f.Stats().Events)
	for _, pool := range []int{0, NumPools - 1} {
		for _, size := range []int{1, MaxEvent} {
			assert.NoError(t, f.AddEvent(255, pool, make([]byte, size)))
		}
	}
	assert.EqualValues(t, 4, f.Stats().Events)
}

func TestEventEncoding(t *testing.T) {
	f := New()
	require.NoError(t, f.AddEvent(9, 3, []byte("abc")))
	require.NoError(t, f.AddEvent(0, 3, []byte{0}))
	var got [32]byte
	f.pools[3].take(&got)
	inner := sha256.Sum256([]byte("\x09\x03abc\x00\x01\x00"))
	assert.Equal(t, sha256.Sum256(inner[:]), got)
}

func TestNotSeeded(t *testing.T) {
	f := New()
	assert.False(t, f.Seeded())
	for _, n := range []int{0, 1, smallRead, smallRead + 1, 1 << 20} {
		p := bytes.Repeat([]byte{1}, n)
		got, err := f.Read(p)
		assert.ErrorIs(t, err, ErrNotSeeded)
		assert.Zero(t, got)
	}
	f.Reseed(make([]byte, 32))
	assert.True(t, f.Seeded())
	read(t, f, 1)
	assert.EqualValues(t, 1, f.Reseeds())
}

func TestPoolZeroCutoff(t *testing.T) {
	for size, want := range map[int]bool{63: false, 64: true} {
		f := New()
		addBytes(t, f, 0, size)
		addBytes(t, f, 1, 1000)
		assert.Equal(t, want, f.Seeded(), size)
		_, err := f.Read(make([]byte, 16))
		if want {
			assert.NoError(t, err)
			assert.EqualValues(t, 1, f.Reseeds())
		} else {
			assert.ErrorIs(t, err, ErrNotSeeded)
			assert.Zero(t, f.Reseeds())
		}
	}
}

func TestReseedInterval(t *testing.T) {
	for _, n := range []int{16, smallRead + 1} { // both kinds of read look
		synctest.Test(t, func(t *testing.T) {
			f := New()
			time.Sleep(time.Hour)
			addBytes(t, f, 0, 64)
			read(t, f, n)
			require.EqualValues(t, 1, f.Reseeds())
			addBytes(t, f, 0, 64)
			time.Sleep(99 * time.Millisecond)
			read(t, f, n)
			assert.EqualValues(t, 1, f.Reseeds(), "after 99 ms")
			time.Sleep(time.Millisecond - time.Nanosecond)
			read(t, f, n)
			assert.EqualValues(t, 1, f.Reseeds(), "just before")
			time.Sleep(time.Nanosecond)
			read(t, f, n)
			assert.EqualValues(t, 2, f.Reseeds(), "after 100 ms")
			time.Sleep(time.Hour)
			addBytes(t, f, 0, 63)
			read(t, f, n)
			assert.EqualValues(t, 2, f.Reseeds(), "pool 0 holds 63 bytes")
			addBytes(t, f, 0, 3)
			read(t, f, n)
			assert.EqualValues(t, 3, f.Reseeds(), "pool 0 holds 66 bytes")
		})
	}
}

// An explicit seed neither empties pools nor delays them.
func TestReseedLeavesPools(t *testing.T) {
	f := New()
	addBytes(t, f, 0, 64)
	f.Reseed([]byte("seed"))
	read(t, f, 16)
	assert.Equal(t, Stats{Seeds: 1, PoolReseeds: 1, Events: 2, Reads: 1, Bytes: 16}, f.Stats())
}

func TestExplicitSeed(t *testing.T) {
	f := New(WithExplicitSeed())
	addBytes(t, f, 0, 1000)
	assert.False(t, f.Seeded())
	_, err := f.Read(make([]byte, 1))
	assert.ErrorIs(t, err, ErrNotSeeded)
	f.Reseed(make([]byte, 32))
	read(t, f, 1)
	assert.EqualValues(t, 2, f.Reseeds(), "what the pools had collected joins")
}

// The central generator's key after many reseeds is that of a book accumulator
// written down once more: 32 strings, hashed when 2^i divides the count.
func TestPoolSchedule(t *testing.T) {
	synctest.Test(t, poolSchedule)
}

func poolSchedule(t *testing.T) {
	reseeds := 1<<10 + 3
	if soak(t) > 0 {
		reseeds = 1<<14 + 3
	}
	f := New()
	var strings [NumPools][]byte
	var key [32]byte
	used := [NumPools]int{}
	for r := 1; r <= reseeds; r++ {
		for e := range 40 {
			pool, data := e%NumPools, fmt.Appendf(nil, "reseed %d event %2d to fill it", r, e)
			if pool == 0 {
				data = append(data, "......................................"...)[:MaxEvent]
			}
			require.NoError(t, f.AddEvent(uint8(e), pool, data))
			strings[pool] = append(append(strings[pool], uint8(e), uint8(len(data))), data...)
		}
		before := f.Reseeds()
		f.reseedFromPools()
		require.Equal(t, before+1, f.Reseeds())
		time.Sleep(MinReseedInterval)

		input := bytes.Clone(key[:])
		for i := range strings {
			if r%(1<<i) == 0 {
				first := sha256.Sum256(strings[i])
				second := sha256.Sum256(first[:])
				input = append(input, second[:]...)
				strings[i] = nil
				used[i]++
			}
		}
		first := sha256.Sum256(input)
		key = sha256.Sum256(first[:])
		require.Equal(t, key, f.gen.key, "reseed %d", r)
	}
	for i, n := range used {
		assert.Equal(t, reseeds>>i, n, "pool %d", i)
	}
}

func TestJoins(t *testing.T) {
	for i := range NumPools {
		assert.True(t, joins(i, 1<<i), i)
		assert.True(t, joins(i, 3<<i), i)
		if i > 0 {
			assert.False(t, joins(i, 1<<i-1), i)
			assert.False(t, joins(i, 1<<i+1), i)
		}
	}
}

// The pools drive the book's own generator in the same way, counter included.
func TestLittleEndianFortuna(t *testing.T) {
	f := New()
	f.gen.mode = littleEndian{}
	for range 2 {
		for pool := range NumPools {
			require.NoError(t, f.AddEvent(42, pool, bytes.Repeat([]byte("X"), 32)))
		}
	}
	f.reseedFromPools()
	// Pool 0 alone joins the first reseed; its digest is PyCrypto's.
	want := &Generator{mode: littleEndian{}}
	want.Reseed(unhex(t, "aef42a5dcbddab67e8efa118e1b47fde5d697f89beb971b99e6e8e5e89fbf064"))
	assert.Equal(t, want.key, f.gen.key)
	assert.Equal(t, [blockSize]byte{1}, f.gen.ctr)
}

func TestStats(t *testing.T) {
	f := seededFortuna()
	read(t, f, 32)
	read(t, f, 2<<20)
	_, _ = f.Read(nil)
	assert.Equal(t, Stats{Seeds: 1, Reads: 4, Bytes: 32 + 2<<20}, f.Stats())
	require.NoError(t, f.Close())
	assert.Equal(t, Stats{Seeds: 1, Reads: 4, Bytes: 32 + 2<<20}, f.Stats())
}

func TestReseedsAreAllCounted(t *testing.T) {
	h := newHook("all")
	f := New(WithFreshness(h))
	for range 3 {
		f.Reseed([]byte("seed"))
	}
	addBytes(t, f, 0, MinPoolSize)
	read(t, f, 1)
	for range 2 {
		h.generation.Add(1)
		read(t, f, 1)
	}
	require.Equal(t, Stats{
		Seeds: 3, PoolReseeds: 1, Renewals: 2, Events: f.Stats().Events,
		Reads: 3, Bytes: 3,
	}, f.Stats())
	require.EqualValues(t, 3+1+2, f.Reseeds())
}

// The longest short read comes out of the buffer, and the next one takes no
// more than a key from it.
func TestShortReadsComeFromTheBuffer(t *testing.T) {
	for n, taken := range map[int]int{
		1: 1, smallRead: smallRead, smallRead + 1: keySize, MaxRequest: keySize,
		MaxRequest + 1: 2 * keySize,
	} {
		f := oneShard(seededFortuna())
		read(t, f, n)
		assert.Equal(t, shardBuffer-keySize-taken, only(t, f).left, "read of %d bytes", n)
	}
}

// Shards are taken in turn for ever, also when the count has gone round, and
// where an int has 32 bits.
func TestShardsAreTakenInTurn(t *testing.T) {
	for _, begin := range []uint32{0, math.MaxInt32 - 2, math.MaxUint32 - 2} {
		s := &shards{all: make([]shard, 4)}
		s.next.Store(begin)
		seen := map[*shard]int{}
		for range 8 {
			seen[s.another()]++
		}
		assert.Len(t, seen, 4)
		for _, n := range seen {
			assert.Equal(t, 2, n, "from %d", begin)
		}
	}
}

func TestClose(t *testing.T) {
	f := seededFortuna()
	require.NoError(t, f.Close())
	require.NoError(t, f.Close())
	for _, n := range []int{0, 1, smallRead + 1} {
		p := bytes.Repeat([]byte{1}, n)
		got, err := f.Read(p)
		assert.ErrorIs(t, err, ErrClosed)
		assert.False(t, errors.Is(err, ErrNotSeeded))
		assert.Zero(t, got)
	}
	assert.ErrorIs(t, f.AddEvent(0, 0, []byte{1}), ErrClosed)
	f.Reseed([]byte("again"))
	assert.False(t, f.Seeded())
	_, err := f.Read(make([]byte, 1))
	assert.ErrorIs(t, err, ErrClosed)
}
