package xendev

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Evtchn is an open /dev/xen/evtchn with the event channels bound through it.
// All methods but Pending may be called from any goroutine at any time.
type Evtchn struct {
	sys  System
	file File // in the runtime's poller
	raw  syscall.RawConn

	mu    sync.Mutex // also held while binding, so that Close misses none
	ports []uint32
	done  atomic.Bool

	look    func(fd uintptr) bool // e.lookOnce, made once
	in      [4]byte               // these are Pending's
	lookErr error
	fresh   bool // this Pending has not slept yet
	brief   briefPoll
}

// OpenEvtchn opens the device.
func OpenEvtchn(sys System) (*Evtchn, error) {
	sys, err := system(sys)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", EvtchnPath, err)
	}
	var f File
	err = bounded(func() (err error) {
		f, err = sys.OpenPolled(EvtchnPath)
		return err
	})
	if err != nil {
		return nil, evtchnDriver.openFailed(err)
	}
	raw, err := f.SyscallConn()
	if err != nil {
		_ = f.Close()
		return nil, evtchnDriver.openFailed(err)
	}
	e := &Evtchn{sys: sys, file: f, raw: raw, brief: briefPoll{skip: briefFirst}}
	e.look = e.lookOnce
	return e, nil
}

// BindUnbound makes a port that the remote domain may bind to.
func (e *Evtchn) BindUnbound(remote uint16) (port uint32, err error) {
	return e.bind(fmt.Sprintf("make an event channel for domain %d", remote), reqBindUnbound,
		encodePort(uint32(remote)))
}

// BindInterdomain connects to a port that the remote domain made for us. The
// new port is pending once right away.
func (e *Evtchn) BindInterdomain(remote uint16, remotePort uint32) (port uint32, err error) {
	return e.bind(fmt.Sprintf("bind to port %d of domain %d", remotePort, remote), reqBindInterdomain,
		encodeBindInterdomain(remote, remotePort))
}

func (e *Evtchn) bind(op string, request uint32, arg []byte) (uint32, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.done.Load() {
		return 0, evtchnDriver.failed(ErrClosed, op)
	}
	n, err := e.slowly(op, request, arg)
	if err != nil {
		return 0, err
	}
	e.ports = append(e.ports, uint32(n))
	return uint32(n), nil
}

func (e *Evtchn) ioctl(op string, request uint32, arg []byte) (n int, err error) {
	cerr := e.raw.Control(func(fd uintptr) { n, err = e.sys.Ioctl(int(fd), request, arg) })
	if err == nil {
		err = cerr
	}
	if err == nil {
		return n, nil
	}
	return 0, e.failed(err, op)
}

// slowly is ioctl for what is not called for each event.
func (e *Evtchn) slowly(op string, request uint32, arg []byte) (n int, err error) {
	var got int
	err = bounded(func() (err error) {
		got, err = e.ioctl(op, request, arg)
		return err
	})
	if err != nil { // got may be another goroutine's still
		return 0, err
	}
	return got, nil
}

// failed knows a close from other errors. Those of a RawConn do not: they are
// the runtime's own for a closed file, which is not os.ErrClosed.
func (e *Evtchn) failed(err error, op string) error {
	if e.done.Load() {
		err = ErrClosed
	}
	return evtchnDriver.failed(err, op)
}

// Notify sends an event to the other end of a port. Where nobody is bound it is
// lost, without an error.
func (e *Evtchn) Notify(port uint32) error {
	_, err := e.ioctl("notify", reqNotify, encodePort(port))
	return err
}

// Unbind closes a port.
func (e *Evtchn) Unbind(port uint32) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if i := slices.Index(e.ports, port); i >= 0 {
		e.ports = slices.Delete(e.ports, i, i+1)
	}
	_, err := e.slowly(fmt.Sprintf("unbind port %d", port), reqUnbind, encodePort(port))
	return err
}

// Pending waits for an event and gives its port, which is then masked: until
// Unmask its further events are kept as one. It is for one goroutine at a time.
// At the deadline the error is os.ErrDeadlineExceeded, after Close ErrClosed;
// one that polls briefly (see briefPoll) hears of both a little later.
func (e *Evtchn) Pending() (port uint32, err error) {
	e.fresh = true
	err = e.raw.Read(e.look)
	if err == nil {
		err = e.lookErr
	}
	switch {
	case err == nil:
		return order.Uint32(e.in[:]), nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return 0, err
	}
	return 0, e.failed(err, "wait for an event")
}

// lookOnce is called by the poller: false is for wait and call again.
func (e *Evtchn) lookOnce(fd uintptr) bool {
	if e.fresh {
		e.fresh = false
		e.brief.wait(int(fd))
	}
	e.lookErr = e.read(int(fd))
	return e.lookErr != syscall.EAGAIN
}

// Poll is Pending that waits for nothing, and gives ok = false when no event is
// there.
func (e *Evtchn) Poll() (port uint32, ok bool, err error) {
	var in [4]byte
	n := 0
	if cerr := e.raw.Control(func(fd uintptr) { n, err = e.sys.Read(int(fd), in[:]) }); cerr != nil {
		err = cerr
	}
	switch {
	case err == syscall.EAGAIN:
		return 0, false, nil
	case err == nil && n != len(in):
		err = syscall.EIO
	}
	if err != nil {
		return 0, false, e.failed(err, "look for an event")
	}
	return order.Uint32(in[:]), true, nil
}

func (e *Evtchn) read(fd int) error {
	n, err := e.sys.Read(fd, e.in[:])
	if err == nil && n != len(e.in) {
		err = syscall.EIO // the driver gives whole ports
	}
	return err
}

// Unmask lets the events of a port through again. One that came while it was
// masked is pending at once, but not if the other end has closed its port
// meanwhile: so look at what the events are about after Unmask, not before it.
func (e *Evtchn) Unmask(port uint32) error {
	var err error
	b := encodePort(port)
	cerr := e.raw.Control(func(fd uintptr) { _, err = e.sys.Write(int(fd), b) })
	if err == nil {
		err = cerr
	}
	if err != nil {
		return e.failed(err, "unmask")
	}
	return nil
}

// SetDeadline is for Pending, also the one under way; the zero time is none.
func (e *Evtchn) SetDeadline(t time.Time) error {
	if err := e.file.SetReadDeadline(t); err != nil {
		return e.failed(err, "set a deadline")
	}
	return nil
}

// Close unbinds all ports and makes Pending return.
func (e *Evtchn) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.done.Swap(true) {
		return evtchnDriver.failed(ErrClosed, "close")
	}
	// Closing the file would do it, too, but not before a Pending under way has
	// left it.
	for _, p := range e.ports {
		_, _ = e.slowly("unbind", reqUnbind, encodePort(p))
	}
	e.ports = nil
	return bounded(e.file.Close)
}
