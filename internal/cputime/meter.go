package cputime

import (
	"runtime"
	"sync/atomic"
	"time"
)

// Sum is CPU time that meters have counted. The zero Sum is empty; its methods
// are safe for concurrent use.
type Sum struct{ ns atomic.Int64 }

// Add adds d, and returns it.
func (s *Sum) Add(d time.Duration) time.Duration {
	s.ns.Add(int64(d))
	return d
}

// Total is what was counted so far. A span under way is in it up to its last
// Lap.
func (s *Sum) Total() time.Duration { return time.Duration(s.ns.Load()) }

// Meter counts the CPU time of one goroutine into a Sum. All of its methods are
// for that goroutine alone; those of a nil Meter do nothing.
type Meter struct {
	sum   *Sum
	clock func() time.Duration
	on    bool
	begun time.Duration
	since time.Duration
}

// NewMeter returns a meter that stands still. clock is [Thread], but in tests:
// a bubble of testing/synctest has no CPU time.
func NewMeter(sum *Sum, clock func() time.Duration) *Meter {
	return &Meter{sum: sum, clock: clock}
}

// maxCounting is how many meters count at once. A goroutine that is tied to its
// thread takes the thread along when it waits for a mutex, and the runtime
// starts another thread for whoever can run: thousands of sessions that are
// woken together would become thousands of threads, which is the end of a
// process whose threads are limited.
const maxCounting = 16

// counting has a place for each meter that counts.
var counting = make(chan struct{}, max(maxCounting, 2*runtime.NumCPU()))

// Begin starts the count and ties the goroutine to its thread, until End. It
// waits while many others count: who counts must wait for none of those who
// would. On a meter that counts already it does nothing.
func (m *Meter) Begin() {
	if m == nil || m.on {
		return
	}
	counting <- struct{}{}
	runtime.LockOSThread()
	m.on, m.since = true, m.clock()
	m.begun = m.since
}

// Lap adds what was used since Begin or the last Lap, and returns it.
func (m *Meter) Lap() time.Duration {
	if m == nil || !m.on {
		return 0
	}
	now := m.clock()
	used := now - m.since
	m.since = now
	m.sum.Add(used)
	return used
}

// turn is how much CPU time a meter may count before it lets others count who
// wait.
const turn = time.Millisecond

// Yield lets others count who wait, if this meter has counted for a turn since
// Begin, as of the last Lap. On a meter that stands still it does nothing.
func (m *Meter) Yield() {
	if m == nil || !m.on || m.since-m.begun < turn || len(counting) < cap(counting) {
		return
	}
	m.End()
	m.Begin() // those who wait go first
}

// End is Lap, and then stops the count. On a meter that stands still it does
// nothing.
func (m *Meter) End() time.Duration {
	if m == nil || !m.on {
		return 0
	}
	used := m.Lap()
	m.on = false
	runtime.UnlockOSThread()
	<-counting
	return used
}
