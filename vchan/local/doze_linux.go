package local

import (
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// A Wait first dozes: it sleeps for a moment in poll(2) itself, from which an
// event wakes it in half the time that the runtime's poller takes. A channel
// in busy exchange is nearly always woken there, an idle one goes on to the
// poller and holds no thread.
//
// Close and a deadline that is near cut a doze short, by rouse. It is longer
// than a kernel's tick: a shorter time-out would have the timer hardware set
// anew for each doze, which in a virtual machine costs more than the rest.
const dozeMillis = 5

// dozers counts the threads that doze, in the whole process: no more than CPUs.
var dozers atomic.Int32

// doze returns when there is an event, or after a moment, or at once.
func (e *events) doze(fd int) {
	e.dozing.Store(true) // before the looks: who changes what they look at rouses whom it finds dozing
	defer e.dozing.Store(false)
	if e.closed.Load() || e.dead.Load() {
		return
	}
	if until := e.until.Load(); until != 0 && until-time.Now().UnixMilli() <= 2*dozeMillis {
		return
	}
	if int(dozers.Add(1)) <= runtime.NumCPU() {
		p := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		_, _ = unix.Poll(p[:], dozeMillis)
	}
	dozers.Add(-1)
}

// rouse ends a doze, by an event of our own that Wait takes for no event. The
// write cannot get stuck for long: the dozer that it wakes empties the counter.
func (e *events) rouse() {
	if !e.dozing.Load() {
		return
	}
	e.roused.Store(true)
	_ = e.raw.Control(func(fd uintptr) {
		if checkNonblock(int(fd)) == nil {
			_ = addOne(int(fd))
		}
	})
}
