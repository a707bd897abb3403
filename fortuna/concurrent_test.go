package fortuna

import (
	"encoding/binary"
	"errors"
	"os"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// soak is how long the longer forms run; zero means that the short form is
// enough.
func soak(t testing.TB) time.Duration {
	t.Helper()
	s := os.Getenv("XENTROPYD_SOAK")
	if s == "" {
		return 0
	}
	d, err := time.ParseDuration(s)
	require.NoError(t, err, "XENTROPYD_SOAK is a duration such as 60s")
	return d
}

// windows collects every 16-byte window of what was read. It keeps 64 bits of
// each, which is why a repetition among millions of random windows is not
// expected: 2^24 of them collide with a chance of 2^-17.
type windows struct {
	mu   sync.Mutex
	seen map[uint64]struct{}
}

func (w *windows) add(p []byte) (repeated bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for ; len(p) >= 16; p = p[1:] {
		k := binary.LittleEndian.Uint64(p)
		if _, ok := w.seen[k]; ok {
			return true
		}
		w.seen[k] = struct{}{}
	}
	return false
}

// Many readers, with reseeds of every kind and changes of the generation under
// way: no window repeats.
func TestNoReadRepeats(t *testing.T) {
	rounds := 150
	if runtime.GOARCH == "wasm" {
		rounds = 40
	}
	end := time.Now().Add(soak(t))
	for first := true; first || time.Now().Before(end); first = false {
		h := newHook("unique")
		f := seededFortuna(WithFreshness(h))
		w := &windows{seen: make(map[uint64]struct{})}
		var readers, others sync.WaitGroup
		for g := range 4 {
			readers.Go(func() {
				sizes := []int{16, 17, 32, 100, 64, smallRead, 33, 16, 250, smallRead + 1}
				for i := range rounds {
					p := make([]byte, sizes[(i+g)%len(sizes)])
					if i == g*10 {
						p = make([]byte, 20000)
					}
					_, err := f.Read(p)
					for errors.Is(err, ErrStale) { // the generation changes without rest below
						_, err = f.Read(p)
					}
					if err != nil {
						t.Error(err)
						return
					}
					if w.add(p) {
						t.Error("a window of 16 bytes was given twice")
						return
					}
				}
			})
		}
		done := make(chan struct{})
		others.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				if err := f.AddEvent(1, i%NumPools, []byte("event")); err != nil {
					t.Error(err)
				}
				if i%16 == 0 {
					f.Reseed([]byte("the same seed each time"))
				}
				if i%50 == 0 {
					h.generation.Add(1)
				}
				f.Stats()
				f.Seeded()
				runtime.Gosched()
			}
		})
		readers.Wait()
		close(done)
		others.Wait()
		assert.NotZero(t, f.Reseeds())
	}
}

// Close while others read, add and reseed: each gets an answer, and the state
// ends wiped.
func TestCloseConcurrently(t *testing.T) {
	for range 20 {
		f := seededFortuna()
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				p := make([]byte, 1+g*600)
				for {
					if n, err := f.Read(p); err != nil {
						assert.ErrorIs(t, err, ErrClosed)
						assert.Zero(t, n)
						return
					}
					_ = f.AddEvent(0, g, []byte{1})
					f.Reseed(p[:1])
					runtime.Gosched()
				}
			})
		}
		runtime.Gosched()
		f.Close()
		wg.Wait()
		assert.Zero(t, f.gen)
		for i := range f.shards.all {
			s := &f.shards.all[i]
			assert.Zero(t, s.key)
			if s.buf != nil {
				assert.Zero(t, *s.buf)
			}
		}
	}
}

// After Reseed has returned, no reader gives what was buffered before, in
// whatever shard it was.
func TestReseedIsSeenByAllShards(t *testing.T) {
	a, b := New(), New()
	for _, f := range []*Fortuna{a, b} {
		f.Reseed([]byte("same"))
		read(t, f, 16)
	}
	a.Reseed([]byte("different"))
	b.Reseed([]byte("seeds"))
	for range 200 {
		assert.NotEqual(t, read(t, a, 32), read(t, b, 32))
	}
}

// The leak of 2015 took unikernels down overnight: a million events and reads
// leave the heap as it was.
func TestHeapDoesNotGrow(t *testing.T) {
	synctest.Test(t, heapDoesNotGrow)
}

func heapDoesNotGrow(t *testing.T) {
	n := 1_000_000
	if runtime.GOARCH == "wasm" || raceEnabled {
		n = 100_000 // ten times as slow there
	}
	f := New()
	p := make([]byte, 32)
	run := func(n int) {
		for i := range n {
			if err := f.AddEvent(uint8(i), i%NumPools, p[:1+i%MaxEvent]); err != nil {
				t.Fatal(err)
			}
			if i < 2000 {
				continue // until pool 0 holds enough
			}
			if i%1000 == 0 {
				time.Sleep(MinReseedInterval)
			}
			if _, err := f.Read(p); err != nil {
				t.Fatal(err)
			}
		}
	}
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	run(10_000)
	before := heap()
	run(n)
	after := heap()
	assert.LessOrEqual(t, after, before+64<<10, "heap in bytes")
	assert.Greater(t, f.Reseeds(), uint64(n/2000))
}

func TestSmallReadsDoNotAllocate(t *testing.T) {
	f := oneShard(seededFortuna(WithFreshness(generation(1))))
	p := make([]byte, 32)
	avg := testing.AllocsPerRun(2000, func() {
		if _, err := f.Read(p); err != nil {
			t.Fatal(err)
		}
	})
	assert.Zero(t, avg, "allocations in a read of 32 bytes, the refills' share rounded down")
	event := testing.AllocsPerRun(2000, func() {
		if err := f.AddEvent(1, 2, p); err != nil {
			t.Fatal(err)
		}
	})
	assert.Zero(t, event)
}
