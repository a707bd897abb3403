package xen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xentropyd/xentropyd/internal/xendev"
	"github.com/xentropyd/xentropyd/vchan/ring"
)

// Port is an event channel to offer to one domain, see [OfferOptions]. It is
// how a guest offers that may be saved and restored.
//
// A Port is never closed, and nothing that is done with one unbinds it. On
// resume Linux forgets which interrupt belongs to which event channel
// (xen_irq_resume, drivers/xen/events/events_base.c); whoever then unbinds a
// port of before, or closes its file, meets BUG_ON(irq < 0) in
// evtchn_unbind_from_user (drivers/xen/evtchn.c) and is lost in the kernel, or,
// where the number is another channel's by then, takes that one from its owner.
// A domain can be suspended between any two instructions of a process, so no
// question asked before makes the unbinding safe. It is left to the end of the
// process.
//
// A Port can be offered again and again until a peer has come: an offer that
// nobody took costs nothing. Afterwards it cannot. Xen then has it wait for the
// same domain again (evtchn_close, xen/common/event_channel.c, ECS_UNBOUND),
// but an event that came between the last one's reading and the peer's end
// leaves it masked: Linux asks Xen to unmask a port that is pending
// (evtchn_fifo_unmask), Xen does so only for one that is bound (evtchn_usable),
// and nobody tries again.
//
// A Port that leads nowhere since a restore does no harm: the peer cannot bind
// to it.
//
// A Port takes two descriptors and one page of gntalloc's, until the process
// ends. Its methods may be called from any goroutine.
type Port struct {
	peer   uint16
	dev    *xendev.Evtchn
	alloc  *xendev.Gntalloc
	notice *xendev.EndNotice
	number uint32

	busy    atomic.Bool   // an offer has it
	heard   atomic.Bool   // an event has come
	waiting chan struct{} // of capacity 1: full while somebody waits for an event
}

// standing has all ports, so that the garbage collector closes none.
var standing struct {
	mu    sync.Mutex
	ports []*Port
}

var (
	errBusyPort = errors.New("another offer has the port")
	errUsedPort = errors.New("a peer has come to the port before, it may give no more events")
)

// OpenPort makes an event channel that the domain peer may bind to; nil is this
// machine.
func OpenPort(peer uint16, sys xendev.System) (*Port, error) {
	alloc, err := xendev.OpenGntalloc(sys)
	if err != nil {
		return nil, err
	}
	p := &Port{peer: peer, alloc: alloc, waiting: make(chan struct{}, 1)}
	err = p.bind(sys)
	if err != nil && p.number == 0 { // else it stays, whatever happened after the binding
		_ = alloc.Close()
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

// bind binds last: nothing of what may fail is done with a port, but for the
// notice.
func (p *Port) bind(sys xendev.System) (err error) {
	if p.notice, err = p.alloc.EndNotice(p.peer); err != nil {
		return err
	}
	if p.dev, err = xendev.OpenEvtchn(sys); err != nil {
		return err
	}
	number, err := p.dev.BindUnbound(p.peer)
	if err != nil {
		_ = p.dev.Close() // there is no port in it
		return err
	}
	p.number = number
	standing.mu.Lock()
	standing.ports = append(standing.ports, p)
	standing.mu.Unlock()
	return p.notice.Set(number)
}

// Check says whether the kernel still knows the port. An error is certain: the
// domain was restored since. None is not.
func (p *Port) Check() error { return p.notice.Set(p.number) }

// Files are further descriptors of the port's open devices, for a process that
// holds them when this one ends: nothing is unbound before it ends, too. The
// caller closes them.
func (p *Port) Files() ([]*os.File, error) {
	events, err := p.dev.Duplicate()
	if err != nil {
		return nil, err
	}
	pages, err := p.alloc.Duplicate()
	if err != nil {
		_ = events.Close()
		return nil, err
	}
	return []*os.File{events, pages}, nil
}

// Usable says whether no offer has the port and no peer has come to it.
func (p *Port) Usable() bool { return !p.busy.Load() && p.quiet() }

// quiet says whether no event has ever come.
func (p *Port) quiet() bool {
	if _, ok, err := p.dev.Poll(); ok || err != nil {
		p.heard.Store(true)
	}
	return !p.heard.Load()
}

// take gives the port to one offer. It waits until nobody waits for the last
// one's events any more.
func (p *Port) take(ctx context.Context) (*lease, error) {
	if !p.busy.CompareAndSwap(false, true) {
		return nil, errBusyPort
	}
	select {
	case p.waiting <- struct{}{}:
		<-p.waiting
	case <-ctx.Done():
		p.busy.Store(false)
		return nil, context.Cause(ctx)
	}
	if !p.quiet() {
		p.busy.Store(false)
		return nil, errUsedPort
	}
	return &lease{Port: p, over: make(chan struct{})}, nil
}

// share gives an offer the port and pages that are the offer's own.
func (p *Port) share(ctx context.Context, peer uint16, o ring.Orders) (s shared, err error) {
	if peer != p.peer {
		return s, fmt.Errorf("the port is for domain %d", p.peer)
	}
	l, err := p.take(ctx)
	if err != nil {
		return s, err
	}
	s = shared{port: p.number, events: l, ended: &l.ended}
	// No event is asked for, which the unmapping would send through a port of
	// the same number. The notice sends it.
	s.memory, s.refs, err = allocateFrom(p.alloc, peer, o, func(m *xendev.Mapping) error {
		if err := m.ClearAtUnmap(offSrvLive); err != nil {
			return err
		}
		return m.Detach()
	})
	if err != nil {
		_ = l.Close()
	}
	return s, err
}

// lease is the events of one offer on a Port.
type lease struct {
	*Port
	ended func() // called by Close, may be nil

	mu     sync.Mutex // held while the deadline is set, which must not be the next one's
	closed atomic.Bool
	over   chan struct{} // closed with it
}

// Notify sends an event to the peer. After a restore it may go to somebody
// else, whom it does not hurt.
func (l *lease) Notify() error {
	if l.closed.Load() {
		return net.ErrClosed
	}
	return l.dev.Notify(l.number)
}

// Wait is as that of events.
func (l *lease) Wait() error {
	select {
	case l.waiting <- struct{}{}: // there is but one Wait at a time, and the last one's has gone or is about to
	case <-l.over:
		return net.ErrClosed // else we might wait for the next one's
	}
	defer func() { <-l.waiting }()
	if l.closed.Load() {
		return net.ErrClosed
	}
	_, err := l.dev.Pending()
	if err == nil {
		l.heard.Store(true)
	}
	switch {
	case l.closed.Load():
		return net.ErrClosed
	case err != nil:
		return err
	}
	return l.dev.Unmask(l.number)
}

// SetWaitDeadline sets Wait's deadline.
func (l *lease) SetWaitDeadline(t time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed.Load() {
		return net.ErrClosed
	}
	return l.dev.SetDeadline(t)
}

// Close makes a Wait under way return and leaves the port.
func (l *lease) Close() error {
	l.mu.Lock()
	l.closed.Store(true)
	close(l.over)
	err := l.dev.SetDeadline(time.Unix(1, 0))
	l.mu.Unlock()
	if l.ended != nil {
		l.ended()
	}
	l.busy.Store(false)
	return err
}
