package cputime

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// fakeClock goes on by itself: a step at each look.
func fakeClock(step time.Duration) func() time.Duration {
	var now time.Duration
	return func() time.Duration { now += step; return now }
}

func TestMeterCountsBetweenBeginAndEnd(t *testing.T) {
	var sum Sum
	m := NewMeter(&sum, fakeClock(time.Millisecond))
	require.Zero(t, m.End(), "it stands still")
	require.Zero(t, m.Lap())
	m.Begin()
	m.Begin() // counts already
	require.Equal(t, time.Millisecond, m.Lap())
	require.Equal(t, time.Millisecond, sum.Total())
	require.Equal(t, time.Millisecond, m.End())
	require.Zero(t, m.End())
	m.Begin()
	m.End()
	require.Equal(t, 3*time.Millisecond, sum.Total())
	m = nil
	m.Begin()
	require.Zero(t, m.Lap())
	require.Zero(t, m.End())
}

func TestShare(t *testing.T) {
	now := time.Unix(1e9, 0)
	s := NewShare(0.05, 500*time.Millisecond)
	require.Zero(t, s.Use(now, 500*time.Millisecond), "the burst")
	require.Equal(t, 200*time.Millisecond, s.Use(now, 10*time.Millisecond))
	now = now.Add(200 * time.Millisecond)
	require.Zero(t, s.Use(now, 0), "waited for")
	require.InDelta(t, 20*time.Millisecond, s.Use(now, time.Millisecond), 10)
	require.InDelta(t, 20*time.Millisecond, s.Use(now.Add(-time.Hour), 0), 10, "a clock that is set back gives nothing")
	now = now.Add(365 * 24 * time.Hour)
	require.Zero(t, s.Use(now, 0))
	require.Equal(t, 2*time.Second, s.Use(now, 600*time.Millisecond), "and idleness no more than the burst")
	require.Equal(t, 2*time.Second, s.Use(now, -time.Second))
}

// The real clock is the thread's: it goes on with work and not with sleep.
func TestThread(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there is no clock of threads here")
	}
	var sum Sum
	m := NewMeter(&sum, Thread)
	m.Begin()
	for start, x := Thread(), 0; Thread()-start < 20*time.Millisecond; x++ {
	}
	require.GreaterOrEqual(t, m.Lap(), 20*time.Millisecond)
	time.Sleep(200 * time.Millisecond)
	require.Less(t, m.End(), 100*time.Millisecond)
}

func BenchmarkSpan(b *testing.B) {
	m := NewMeter(new(Sum), Thread)
	for b.Loop() {
		m.Begin()
		m.End()
	}
}

// However many would count, few do: each is tied to a thread.
func TestFewCountAtOnce(t *testing.T) {
	var counted, most atomic.Int32
	var mu sync.Mutex // which all of them want
	var all sync.WaitGroup
	mu.Lock()
	for range 1000 {
		all.Go(func() {
			m := NewMeter(new(Sum), Thread)
			m.Begin()
			defer m.End()
			n := counted.Add(1)
			for {
				old := most.Load()
				if n <= old || most.CompareAndSwap(old, n) {
					break
				}
			}
			mu.Lock()
			counted.Add(-1)
			mu.Unlock()
		})
	}
	for most.Load() == 0 {
		runtime.Gosched()
	}
	mu.Unlock()
	all.Wait()
	require.LessOrEqual(t, int(most.Load()), cap(counting))
}

// Who counts without end lets others go on, once it has had its turn.
func TestYield(t *testing.T) {
	long := NewMeter(new(Sum), fakeClock(turn))
	long.Begin()
	defer long.End()
	for range cap(counting) - 1 { // all other places are taken
		counting <- struct{}{}
	}
	defer func() {
		for range cap(counting) - 1 {
			<-counting
		}
	}()
	done := make(chan struct{})
	go func() {
		defer close(done)
		m := NewMeter(new(Sum), Thread)
		m.Begin()
		m.End()
	}()
	for over := false; !over; {
		long.Lap()
		long.Yield()
		select {
		case <-done:
			over = true
		default:
			runtime.Gosched()
		}
	}
}
