package local

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xentropyd/xentropyd/vchan"
)

// events are the two eventfds of a channel, seen from one end, and the tether.
//
// The peer holds the same open file descriptions: it can make them blocking
// and fill or empty their counters at any moment. So we never rely on
// O_NONBLOCK where the kernel lets us ask per call (preadv2, for reading); a
// write has no such flag, so the description is looked at first, and a thread
// that lost the race is freed by emptying the counter: by Close, by the watcher
// when the peer hangs up, and by the watcher's round.
type events struct {
	in   *os.File // the peer writes, we read; in the runtime's poller
	raw  syscall.RawConn
	out  int // we write, the peer reads; open while users > 0
	link *link

	look    func(fd uintptr) bool // e.lookOnce, made once
	parking [2]func()             // this Wait's park and unpark, or nil
	fresh   bool                  // this Wait has not slept yet
	lookErr error
	counter counter

	until  atomic.Int64        // the deadline, Unix time in ms, or 0
	bed    atomic.Pointer[bed] // where a Wait dozes, or is about to
	closed atomic.Bool
	dead   atomic.Bool // the tether hung up
	foul   atomic.Bool // a thread of ours was found stuck

	users atomic.Int32  // calls that may get stuck, and one until Close
	turns atomic.Uint32 // counts their starts
	seen  uint32        // turns at the watcher's last round
	stuck int           // rounds without a turn; both are the watcher's
	tries atomic.Uint32 // of freeOld
	alive atomic.Int32  // goroutines of attempt
}

// newEvents takes over both descriptors, which must be non-blocking, and the link.
func newEvents(in, out int, l *link) (*events, error) {
	f := os.NewFile(uintptr(in), "eventfd")
	raw, err := f.SyscallConn()
	if err != nil {
		_ = f.Close()
		_ = unix.Close(out)
		l.drop()
		return nil, fmt.Errorf("use the eventfd: %w", err)
	}
	e := &events{in: f, raw: raw, out: out, link: l}
	e.look = e.lookOnce
	e.users.Store(1)
	enterBeds()
	l.events = e
	return e, nil
}

// enter is for calls that may get stuck.
func (e *events) enter() bool {
	for {
		n := e.users.Load()
		if n == 0 || e.closed.Load() {
			return false
		}
		if e.users.CompareAndSwap(n, n+1) {
			if e.closed.Load() { // before Close saw us: nobody would free us soon
				e.leave()
				return false
			}
			e.turns.Add(1)
			return true
		}
	}
}

// stay is enter for those who know that we are not gone yet, closed or not.
func (e *events) stay() bool {
	for {
		n := e.users.Load()
		if n == 0 {
			return false
		}
		if e.users.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// idle is what users counts when no call is under way.
func (e *events) idle() int32 {
	if e.closed.Load() {
		return 0
	}
	return 1
}

// leave gives the descriptors back when the last user has left. The watcher
// forgets us first: it touches e.out only while it knows us.
func (e *events) leave() {
	if e.users.Add(-1) == 0 {
		e.link.drop()
		_ = unix.Close(e.out)
		leaveBeds()
	}
}

// beforeAdd, set by tests only, runs where a peer can win the race for O_NONBLOCK.
var beforeAdd atomic.Pointer[func()]

// Notify adds one to the peer's counter. A counter that is full already says
// what we have to say.
func (e *events) Notify() error {
	if !e.enter() {
		return net.ErrClosed
	}
	defer e.leave()
	if err := e.broken(); err != nil {
		return err
	}
	if e.dead.Load() {
		return vchan.ErrPeerGone
	}
	if err := checkNonblock(e.out); err != nil {
		return err
	}
	if f := beforeAdd.Load(); f != nil {
		(*f)()
	}
	switch err := addOne(e.out); err {
	case nil, unix.EAGAIN:
		return e.broken()
	default:
		return fmt.Errorf("write to the eventfd: %w", err)
	}
}

// Wait empties our counter, once there is something in it.
func (e *events) Wait() error { return e.WaitParking(nil, nil) }

// WaitParking is Wait that tells when it leaves its thread to the poller. A doze keeps it.
func (e *events) WaitParking(park, unpark func()) error {
	if park != nil {
		e.parking = [2]func(){park, unpark}
		defer func() {
			e.parking = [2]func(){}
			unpark()
		}()
	}
	if err := e.broken(); err != nil {
		return err
	}
	e.fresh = true
	if err := e.raw.Read(e.look); err != nil {
		if errors.Is(err, os.ErrClosed) {
			return net.ErrClosed
		}
		return err
	}
	if err := e.broken(); err != nil {
		return err
	}
	return e.lookErr
}

// lookOnce is called by the poller: false is for wait and call again.
func (e *events) lookOnce(fd uintptr) bool {
	if e.parking[1] != nil {
		e.parking[1]()
	}
	there := e.lookNow(fd)
	if !there && e.parking[0] != nil {
		e.parking[0]()
	}
	return there
}

func (e *events) lookNow(fd uintptr) bool {
	if e.fresh {
		e.fresh = false
		e.doze(int(fd))
	}
	if nowait.Load() {
		e.lookErr = e.counter.read(fd)
		if e.lookErr != errNoNowait {
			return e.lookErr != unix.EAGAIN
		}
		nowait.Store(false)
	}
	e.lookErr = e.lookChecked(int(fd))
	return e.lookErr != unix.EAGAIN
}

// lookChecked is for older kernels: the look at O_NONBLOCK leaves the peer a
// moment to clear it, so the watcher must know that we may be stuck.
func (e *events) lookChecked(fd int) error {
	if !e.enter() {
		return net.ErrClosed
	}
	defer e.leave()
	if err := checkNonblock(fd); err != nil {
		return err
	}
	return readPlain(fd, e.counter.buf[:])
}

// broken is the violation that the watcher found.
func (e *events) broken() error {
	if e.foul.Load() {
		return fmt.Errorf("%w: it held up a call on an eventfd", vchan.ErrViolation)
	}
	return nil
}

// SetWaitDeadline sets the poller's deadline for Wait.
func (e *events) SetWaitDeadline(t time.Time) error {
	e.until.Store(0)
	if !t.IsZero() {
		e.until.Store(t.UnixMilli())
	}
	err := e.in.SetReadDeadline(t)
	if !t.IsZero() && time.Until(t) <= 2*dozeMillis*time.Millisecond {
		e.rouse()
	}
	return err
}

// Close tells the peer, makes Wait return and frees a stuck Notify; the last
// user closes the descriptors. A peer cannot hold it up.
func (e *events) Close() error {
	if !e.dead.Load() {
		e.attempt(func() { _ = e.Notify() })
	}
	e.closed.Store(true)
	e.rouse()
	e.free(1)
	err := e.in.Close()
	e.leave()
	return err
}

// hangUp is called by the watcher: the peer is dead.
func (e *events) hangUp() {
	e.dead.Store(true)
	e.rouse()
	e.free(e.idle())
}

// stuckRounds is how many of the watcher's rounds a call may sleep through.
const stuckRounds = 2

// round is called by the watcher once in a while and finds calls that are stuck.
func (e *events) round() {
	idle, turns := e.idle(), e.turns.Load()
	if e.users.Load() > idle && turns == e.seen {
		if e.stuck++; e.stuck >= stuckRounds {
			e.foul.Store(true)
			e.free(idle)
		}
	} else {
		e.stuck = 0
	}
	e.seen = turns
}
