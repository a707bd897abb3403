package snapshot

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// clocks is a machine's pair of clocks, by their distance.
type clocks struct{ at atomic.Int64 }

func (c *clocks) detector() *Detector {
	return New(Options{Distance: c.at.Load, VMClock: "/nonexistent"})
}

func TestNothingHappens(t *testing.T) {
	var c clocks
	d := c.detector()
	first := d.Generation()
	for range 1000 {
		assert.Equal(t, first, d.Generation())
	}
	assert.False(t, d.HasVMClock())
	assert.NoError(t, d.Close())
}

func TestRestoreIsSeenByTheFirstCall(t *testing.T) {
	for _, away := range []time.Duration{Tolerance + 1, time.Second, 1000 * time.Hour, -Tolerance - 1, -time.Hour} {
		var c clocks
		d := c.detector()
		first := d.Generation()
		c.at.Add(int64(away))
		second := d.Generation()
		assert.NotEqual(t, first, second, "%v", away)
		assert.Equal(t, second, d.Generation(), "%v: seen once", away)
		c.at.Add(int64(-away))
		third := d.Generation()
		assert.NotContains(t, []uint64{first, second}, third, "never an earlier value")
	}
}

func TestBelowTolerance(t *testing.T) {
	for _, off := range []time.Duration{Tolerance, -Tolerance, 1} {
		var c clocks
		d := c.detector()
		first := d.Generation()
		c.at.Add(int64(off))
		assert.Equal(t, first, d.Generation(), "%v", off)
	}
}

// TestPutAside is a process that was not running between the readings of the
// two clocks.
func TestPutAside(t *testing.T) {
	var calls, slow atomic.Int64
	d := New(Options{VMClock: "/nonexistent", Distance: func() int64 {
		calls.Add(1)
		if slow.Add(-1) >= 0 {
			return -int64(80 * time.Millisecond)
		}
		return 0
	}})
	first := d.Generation()
	slow.Store(looks - 1)
	assert.Equal(t, first, d.Generation(), "one reading was good")

	slow.Store(1) // also at the beginning
	d = New(Options{VMClock: "/nonexistent", Distance: d.distance})
	first = d.Generation()
	assert.Equal(t, first, d.Generation())
	assert.Zero(t, d.seen.Load())
}

func TestBump(t *testing.T) {
	var c clocks
	d := c.detector()
	first := d.Generation()
	d.Bump()
	assert.NotEqual(t, first, d.Generation())
}

// TestNobodyMissesIt has many readers at a restore: each call that begins after
// it gives a new number.
func TestNobodyMissesIt(t *testing.T) {
	var c clocks
	d := c.detector()
	for range 200 {
		before := d.Generation()
		var wg sync.WaitGroup
		start := make(chan struct{})
		for range 4 {
			wg.Go(func() {
				<-start
				if d.Generation() == before {
					t.Error("a reader saw the earlier generation")
				}
			})
		}
		c.at.Add(int64(time.Second))
		close(start)
		wg.Wait()
	}
}

func TestShared(t *testing.T) {
	first := Counter()()
	shared().Bump()
	assert.Greater(t, Counter()(), first)
}

func BenchmarkGeneration(b *testing.B) {
	d := New(Options{})
	for b.Loop() {
		d.Generation()
	}
}
