package local

import (
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

// doze returns when there is an event, when roused, after a moment, or at once.
func (e *events) doze(fd int) {
	b := takeBed()
	if b == nil {
		return
	}
	defer b.give()
	e.bed.Store(b) // before the looks: who changes what they look at rouses whom it finds dozing
	defer e.bed.Store(nil)
	if e.closed.Load() || e.dead.Load() {
		return
	}
	if until := e.until.Load(); until != 0 && until-time.Now().UnixMilli() <= 2*dozeMillis {
		return
	}
	p := [2]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}, {Fd: int32(b.fd), Events: unix.POLLIN}}
	_, _ = unix.Poll(p[:], dozeMillis)
	if p[1].Revents != 0 {
		b.drain()
	}
}

// rouse ends a doze. Without an event of the peer the Wait goes on to the
// poller, which knows of the deadline or the Close that was the reason.
func (e *events) rouse() {
	if b := e.bed.Load(); b != nil {
		b.rouse()
	}
}
