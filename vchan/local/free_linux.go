package local

import "time"

const (
	patience  = 5 * time.Millisecond // what attempt waits; an honest peer's eventfd takes microseconds
	drains    = 8                    // what free tries at a time
	drainWait = 50 * time.Microsecond
	attempts  = 5 // goroutines of attempt that a channel may have: two of freeOld, the two that free them, Close's
)

// free lets go of threads that sit in a write to out: the description is made
// non-blocking again and the counter emptied. A peer with many writes waiting
// itself may fill it again before our thread has run, so that is done a few
// times, and by the watcher in each round. idle is what users counts when
// there is nobody to free.
//
// Nobody sits in in: it is read with preadv2, which never waits, and only the
// peer writes it. Older kernels need freeOld.
func (e *events) free(idle int32) {
	var c counter
	for i := 0; i < drains && e.users.Load() > idle; i++ {
		if !nowait.Load() {
			e.freeOld()
			return
		}
		if i > 0 {
			time.Sleep(drainWait)
		}
		setNonblock(e.out)
		_ = c.read(uintptr(e.out))
	}
}

// freeOld also frees a thread that sits in a read of in. Its own calls may get
// stuck as well, so it makes the opposite ones the next time.
func (e *events) freeOld() {
	again := e.tries.Add(1)%2 == 0
	empty := func(fd int) { _ = readPlain(fd, make([]byte, 8)) }
	fill := func(fd int) { _ = addOne(fd) }
	e.attempt(func() {
		setNonblock(e.out)
		if again {
			fill(e.out)
		} else {
			empty(e.out)
		}
	})
	e.attempt(func() {
		_ = e.raw.Control(func(fd uintptr) {
			setNonblock(int(fd))
			if again {
				empty(int(fd))
			} else {
				fill(int(fd))
			}
		})
	})
}

// attempt runs f, which a peer may hold up, and waits for it a moment. What is
// held up goes on by itself until it is freed, and keeps the descriptors open.
func (e *events) attempt(f func()) {
	if e.alive.Add(1) > attempts || !e.stay() {
		e.alive.Add(-1)
		return
	}
	done := make(chan struct{})
	go func() {
		defer e.leave() // after done: it may wait for the watcher, who may wait for us
		defer e.alive.Add(-1)
		defer close(done)
		f()
	}()
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	}
}
