package fortuna

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// hook is a Freshness moved by hand.
type hook struct {
	generation atomic.Uint64
	asked      atomic.Uint64
	onAsk      func(n uint64) // called with the number of the question, before it is answered
	renew      func(generation uint64) ([]byte, error)
	renewed    []uint64
	given      [][]byte
}

func newHook(name string) *hook {
	h := &hook{}
	h.generation.Store(1)
	h.renew = func(g uint64) ([]byte, error) { return fmt.Appendf(nil, "renewal of %s for %d", name, g), nil }
	return h
}

func (h *hook) Generation() uint64 {
	if n := h.asked.Add(1); h.onAsk != nil {
		h.onAsk(n)
	}
	return h.generation.Load()
}

func (h *hook) Renew(generation uint64) ([]byte, error) {
	h.renewed = append(h.renewed, generation)
	b, err := h.renew(generation)
	h.given = append(h.given, b)
	return b, err
}

// clone copies the whole state, as a snapshot of the machine would, to a
// Fortuna with a hook of its own.
func clone(f *Fortuna, h *hook) *Fortuna {
	c := New(WithFreshness(h))
	c.state.word.Store(f.state.load())
	c.gen = f.gen
	c.renew.generation.Store(f.renew.generation.Load())
	c.renew.stale.Store(f.renew.stale.Load())
	c.shards.all = make([]shard, len(f.shards.all))
	for i := range c.shards.all {
		to, from := &c.shards.all[i], &f.shards.all[i]
		to.epoch, to.left, to.key = from.epoch, from.left, from.key
		if from.buf != nil {
			buf := *from.buf
			to.buf = &buf
		}
	}
	return c
}

func TestFreshnessUnchanged(t *testing.T) {
	h := newHook("a")
	f := oneShard(seededFortuna(WithFreshness(h)))
	assert.EqualValues(t, 1, h.asked.Load(), "New asks once")
	read(t, f, 32)
	read(t, f, 5000)
	assert.EqualValues(t, 5, h.asked.Load(), "each read asks twice")
	assert.Empty(t, h.renewed)
	assert.Zero(t, f.Stats().Renewals)
}

// Without the hook the clones agree; with it they agree until the generation
// changes and never after.
func TestClonesDiffer(t *testing.T) {
	for _, n := range []int{16, 32, smallRead, smallRead + 1, 1<<20 + 1} {
		ha, hb := newHook("a"), newHook("b")
		a := oneShard(seededFortuna(WithFreshness(ha)))
		read(t, a, 100)
		b := clone(a, hb)
		require.True(t, bytes.Equal(read(t, a, n), read(t, b, n)), "the clone is one: %d bytes", n)
		old := clone(a, newHook("old"))
		ha.generation.Store(2)
		hb.generation.Store(2)
		seen := map[string]int{}
		rounds := 20
		if n > MaxRequest {
			rounds = 2
		}
		for i := range rounds {
			for who, f := range []*Fortuna{a, b, old} {
				p := read(t, f, n)
				for at := 0; at+16 <= len(p); at += 16 {
					w := string(p[at : at+16])
					_, twice := seen[w]
					require.False(t, twice, "read %d of clone %d repeats bytes", i, who)
					seen[w] = who
					if at > 1<<12 {
						break // enough of a long read
					}
				}
			}
		}
		assert.Equal(t, []uint64{2}, ha.renewed)
		assert.EqualValues(t, 1, a.Stats().Renewals)
	}
}

func TestRenewWipesItsBytes(t *testing.T) {
	h := newHook("a")
	f := seededFortuna(WithFreshness(h))
	h.generation.Store(2)
	read(t, f, 16)
	require.Len(t, h.given, 1)
	assert.Equal(t, make([]byte, len(h.given[0])), h.given[0])
}

func TestRenewFails(t *testing.T) {
	h := newHook("a")
	f := oneShard(seededFortuna(WithFreshness(h)))
	read(t, f, 16)
	works, down := h.renew, errors.New("host is down")
	h.renew = func(uint64) ([]byte, error) { return nil, down }
	h.generation.Store(2)
	for _, n := range []int{0, 16, 5000} {
		p := bytes.Repeat([]byte{1}, n)
		got, err := f.Read(p)
		assert.ErrorIs(t, err, ErrStale)
		assert.ErrorIs(t, err, down)
		assert.Zero(t, got)
		assert.Equal(t, bytes.Repeat([]byte{1}, n), p)
		assert.Zero(t, *only(t, f).buf, "buffered bytes go at once")
	}
	h.renew = func(uint64) ([]byte, error) { return []byte{}, nil }
	_, err := f.Read(make([]byte, 1))
	assert.ErrorIs(t, err, ErrStale, "no bytes are no renewal")

	h.generation.Store(1)
	_, err = f.Read(make([]byte, 1))
	assert.ErrorIs(t, err, ErrStale, "the old value does not make the state fresh")
	f.Reseed([]byte("nor does a seed"))
	_, err = f.Read(make([]byte, 1))
	assert.ErrorIs(t, err, ErrStale)

	h.renew = works
	h.generation.Store(2)
	read(t, f, 16)
	assert.EqualValues(t, 1, f.Stats().Renewals)
}

func TestRenewBeforeSeed(t *testing.T) {
	h := newHook("a")
	f := New(WithFreshness(h))
	h.generation.Store(2)
	_, err := f.Read(make([]byte, 1))
	assert.ErrorIs(t, err, ErrNotSeeded)
	assert.Empty(t, h.renewed)
	f.Reseed([]byte("a seed that may be older than the change"))
	read(t, f, 1)
	assert.Equal(t, []uint64{2}, h.renewed)
	require.NoError(t, f.Close())
	h.generation.Store(3)
	_, err = f.Read(make([]byte, 1))
	assert.ErrorIs(t, err, ErrClosed)
}

// The pools' first reseed happens before the renewal, not instead of it.
func TestRenewWithPoolsAlone(t *testing.T) {
	h := newHook("a")
	f := New(WithFreshness(h))
	addBytes(t, f, 0, 64)
	h.generation.Store(2)
	read(t, f, 1)
	assert.Equal(t, Stats{PoolReseeds: 1, Renewals: 1, Events: 2, Reads: 1, Bytes: 1}, f.Stats())
}

// A snapshot is taken when the bytes were copied but not yet given: both clones
// must throw them away.
func TestGenerationChangesDuringRead(t *testing.T) {
	for _, n := range []int{16, smallRead + 1} {
		h := newHook("a")
		f := oneShard(seededFortuna(WithFreshness(h)))
		read(t, f, 16)
		twin := clone(f, newHook("b"))
		would := read(t, twin, n)
		before := h.asked.Load()
		h.onAsk = func(q uint64) {
			if q == before+2 { // the question after the copy
				h.generation.Store(2)
			}
		}
		got := read(t, f, n)
		assert.False(t, bytes.Equal(would, got), "bytes from before the change were given")
		assert.Equal(t, []uint64{2}, h.renewed)
	}
}

// It changes at every question: the read gives up, with p wiped.
func TestGenerationNeverRests(t *testing.T) {
	h := newHook("a")
	f := seededFortuna(WithFreshness(h))
	h.onAsk = func(uint64) { h.generation.Add(1) }
	p := make([]byte, 64)
	n, err := f.Read(p)
	assert.ErrorIs(t, err, ErrStale)
	assert.Zero(t, n)
	assert.Zero(t, [64]byte(p))
	assert.Len(t, h.renewed, maxRestarts)
}

// Renew may use all but Read, and reads that wait for it find it done.
func TestRenewMayReseed(t *testing.T) {
	h := newHook("a")
	f := seededFortuna(WithFreshness(h))
	works := h.renew
	h.renew = func(g uint64) ([]byte, error) {
		f.Reseed([]byte("from the host"))
		if err := f.AddEvent(0, 0, []byte{1}); err != nil {
			return nil, err
		}
		return works(g)
	}
	for generation := uint64(2); generation < 50; generation++ {
		h.generation.Store(generation)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if _, err := f.Read(make([]byte, 32)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	assert.EqualValues(t, 48, f.Stats().Renewals)
	assert.Len(t, h.renewed, 48)
}

// A closing during Renew is not undone by it.
func TestCloseDuringRenew(t *testing.T) {
	h := newHook("a")
	f := seededFortuna(WithFreshness(h))
	h.renew = func(uint64) ([]byte, error) { return []byte("late"), f.Close() }
	h.generation.Store(2)
	_, err := f.Read(make([]byte, 1))
	assert.ErrorIs(t, err, ErrClosed)
	assert.Zero(t, f.gen)
}
