package xendev

import (
	"runtime"
	"sync/atomic"
	"time"
)

// An event wakes a thread that sleeps in poll(2) sooner than it wakes a
// goroutine by way of the runtime's poller, so a channel in busy exchange is
// mostly met there; an idle one goes on to the poller and holds no thread. A
// doze cannot be cut short: its length is how long a Close or a new
// deadline can be kept waiting, and with a deadline near it is left out.

// dozers counts the threads that doze, in the whole process: no more than CPUs.
var dozers atomic.Int32

// nap says whether it has slept.
func (e *Evtchn) nap(fd int) bool {
	if e.doze <= 0 {
		return false
	}
	if until := e.until.Load(); until != 0 && until-time.Now().UnixMilli() <= 2*e.doze.Milliseconds() {
		return false
	}
	slept := int(dozers.Add(1)) <= runtime.NumCPU()
	if slept {
		e.sys.Poll(fd, e.doze)
	}
	dozers.Add(-1)
	return slept
}
