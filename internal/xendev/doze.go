package xendev

import (
	"runtime"
	"sync/atomic"
)

// dozer is how Pending sleeps at first: in poll(2) itself, and only then in the runtime's poller. In a busy exchange the event comes while it
// dozes, and waking from there takes a few system calls less. They are dear in a Xen PV domain, the reading of the clock among them: so
// nothing here looks at it.
//
// A doze holds a thread, and neither a deadline nor Close cuts it short. So it is brief, there is at most one for each
// CPU in the process, and after each in vain twice as many sleeps go by without one: a channel at rest hardly ever dozes.
type dozer struct {
	skip, penalty uint8
}

// dozeMillis is longer than a kernel's tick: a shorter time-out would have the timer set anew each time.
const dozeMillis = 5

const (
	// dozeFirst is how many sleeps make an exchange worth it: a short one would pay for the thread and get nothing for it.
	dozeFirst = 15
	// dozeSkips is the most sleeps that go by without a doze where dozing does not pay.
	dozeSkips = 63
)

var (
	dozing     atomic.Int32
	dozingMost = int32(runtime.NumCPU())
)

// doze returns when there is something to read from fd, after a moment, or at once.
func (d *dozer) doze(fd int) {
	if d.skip > 0 {
		d.skip--
		return
	}
	if runtime.GOMAXPROCS(0) == 1 {
		runtime.Gosched() // who can run goes first: until the runtime notices that we sleep, nobody else does
	}
	if dozing.Add(1) <= dozingMost {
		if readable(fd, dozeMillis) {
			d.penalty = 0
		} else {
			d.penalty = uint8(min(2*int(d.penalty)+1, dozeSkips))
			d.skip = d.penalty
		}
	}
	dozing.Add(-1)
}
