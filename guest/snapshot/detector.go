package snapshot

import (
	"sync"
	"sync/atomic"
	"time"
)

// Tolerance is how far the distance of the clocks must have moved to count. It
// is far over the two nanoseconds of rounding, and far under the shortest time
// that a migrated machine stands still. Two clocks are not read at the same
// instant: a process that was put aside between them sees any distance, and
// looks again.
const Tolerance = 500 * time.Microsecond

// looks is how often the clocks are read before a distance is believed.
const looks = 4

// Options say what a Detector looks at; the zero value is this machine.
type Options struct {
	// Distance is how far the wall clock is ahead of the monotonic one, in
	// nanoseconds from any origin.
	Distance func() int64
	// VMClock is the path of the device; /dev/vmclock0. One that is not there
	// or cannot be read is done without.
	VMClock string
}

// Detector counts the times that the machine was found to be restored. Its
// methods may be called from any goroutine.
type Detector struct {
	distance func() int64 // nil: there is nothing to see
	clock    *vmClock     // nil: there is none

	count atomic.Uint64
	seen  atomic.Int64 // distance at the present count

	mu sync.Mutex // one change at a time
}

// New makes a Detector. It takes the present state for the beginning.
func New(o Options) *Detector {
	d := &Detector{distance: o.Distance}
	if d.distance == nil {
		d.distance = clockDistance()
	}
	path := o.VMClock
	if path == "" {
		path = vmClockDevice
	}
	d.clock = openVMClock(path)
	if d.distance != nil {
		d.seen.Store(d.settled())
	}
	return d
}

// Generation is a number that never comes back to an earlier value and is
// another one after a restore that can be seen.
func (d *Detector) Generation() uint64 {
	if d.moved() {
		d.advance()
	}
	return d.count.Load()
}

// Bump counts a restore that the caller knows of.
func (d *Detector) Bump() { d.count.Add(1) }

// HasVMClock says whether the hypervisor's own generation counter is looked at.
func (d *Detector) HasVMClock() bool { return d.clock != nil && d.clock.now().hasGeneration }

// Close gives the VMClock back. Nothing may be called afterwards.
func (d *Detector) Close() error {
	if d.clock == nil {
		return nil
	}
	return d.clock.close()
}

// moved says whether anything differs from what was last seen.
func (d *Detector) moved() bool {
	if d.clock != nil && d.clock.moved() {
		return true
	}
	if d.distance == nil {
		return false
	}
	for range looks {
		if !apart(d.distance(), d.seen.Load()) {
			return false
		}
	}
	return true
}

// advance counts first and notes what was seen afterwards: whoever finds the
// new state noted finds it counted.
func (d *Detector) advance() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.moved() {
		return // another reader was faster
	}
	d.count.Add(1)
	if d.clock != nil {
		d.clock.note()
	}
	if d.distance != nil {
		d.seen.Store(d.settled())
	}
}

// settled reads the distance until two readings agree.
func (d *Detector) settled() int64 {
	last := d.distance()
	for range looks {
		next := d.distance()
		if !apart(next, last) {
			return next
		}
		last = next
	}
	return last
}

func apart(a, b int64) bool { return max(a-b, b-a) > int64(Tolerance) }

// shared is the process's Detector. The VMClock stays mapped.
var shared = sync.OnceValue(func() *Detector { return New(Options{}) })

// Counter returns a function that gives the process's Detector's Generation.
// The first call takes the state that it finds for the beginning.
func Counter() func() uint64 { return shared().Generation }
