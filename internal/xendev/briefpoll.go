package xendev

import (
	"runtime"
	"sync/atomic"
)

// briefPoll is how Pending sleeps at first: in poll(2) itself, and only then in
// the runtime's poller. In a busy exchange the event comes during that, and
// waking from there takes a few system calls less. They are dear in a Xen PV
// domain, the reading of the clock among them: so nothing here looks at it.
//
// A brief poll holds a thread, and neither a deadline nor Close cuts it short.
// So it is brief, there is at most one for each CPU in the process, and after
// each in vain twice as many sleeps go by without one: a channel at rest hardly
// ever begins one.
type briefPoll struct {
	skip, penalty uint8
}

// briefMillis is longer than a kernel's tick: a shorter time-out would have the
// timer set anew each time.
const briefMillis = 5

const (
	// briefFirst is how many sleeps make an exchange worth it: a short one
	// would pay for the thread and get nothing for it.
	briefFirst = 15
	// briefSkips is the most sleeps that go by without one where it does not
	// pay.
	briefSkips = 63
)

var (
	briefNow  atomic.Int32
	briefMost = int32(runtime.NumCPU())
)

// wait returns when there is something to read from fd, after a moment, or at
// once.
func (d *briefPoll) wait(fd int) {
	if d.skip > 0 {
		d.skip--
		return
	}
	if runtime.GOMAXPROCS(0) == 1 {
		runtime.Gosched() // who can run goes first: until the runtime notices that we sleep, nobody else does
	}
	if briefNow.Add(1) <= briefMost {
		if readable(fd, briefMillis) {
			d.penalty = 0
		} else {
			d.penalty = uint8(min(2*int(d.penalty)+1, briefSkips))
			d.skip = d.penalty
		}
	}
	briefNow.Add(-1)
}
