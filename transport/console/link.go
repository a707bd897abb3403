package console

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"golang.org/x/time/rate"

	"github.com/xentropyd/xentropyd/internal/xendev"
	"github.com/xentropyd/xentropyd/transport/console/ring"
)

// Our own bound on a guest's events: how many a second are taken, and how many
// at once. A guest that sends more is not listened to meanwhile. Honest guests
// come nowhere near it: Linux sends one for each 16 bytes that it writes.
const (
	eventRate  = 200
	eventBurst = 512
)

// floodLimit is how many events in a row may change nothing. Linux sends one
// for each time that it has read or written.
const floodLimit = 1024

// Link is the mapped ring and the event channel of a console. It has one
// goroutine, which takes the events.
//
// It outlives connections: a guest's program that closes the console and the
// next one that opens it are the same to us. [Link.Wait] says when somebody has
// written, then [Link.Open] makes a connection.
type Link struct {
	ring *ring.Ring
	page *xendev.Mapping
	dev  *xendev.Evtchn
	port uint32
	name string

	use  sync.RWMutex // held for reading by who is in the page
	pump sync.WaitGroup

	mu      sync.Mutex
	changed chan struct{} // closed at each event
	masked  bool
	err     error // why it is over

	life context.Context // until it is over
	end  context.CancelFunc

	rmu, wmu sync.Mutex // one reader, one writer: the ring's rule
}

// Connect maps the ring that the guest has made and binds its event channel.
// The front end must be Ready; f is what [Device.Look] gave. Then our end
// should be set to [Connected].
func (d *Device) Connect(f Front) (*Link, error) {
	l, err := d.connect(f)
	if err != nil {
		return nil, fmt.Errorf("connect console %d of domain %d: %w", d.slot, d.cfg.Guest, err)
	}
	return l, nil
}

func (d *Device) connect(f Front) (*Link, error) {
	if !f.Ready() {
		return nil, fmt.Errorf("the front end is in state %d", f.State)
	}
	dev, err := xendev.OpenGntdev(d.cfg.System)
	if err != nil {
		return nil, err
	}
	defer func() { _ = dev.Close() }() // what is mapped keeps the kernel's side alive
	page, err := dev.Map(d.cfg.Guest, []uint32{f.Ring})
	if err != nil {
		return nil, err
	}
	l := &Link{
		page: page, changed: make(chan struct{}),
		name: fmt.Sprintf("console %d of domain %d", d.slot, d.cfg.Guest),
	}
	l.life, l.end = context.WithCancel(context.Background())
	if l.ring, err = ring.Attach(page.Bytes()); err == nil {
		l.dev, err = xendev.OpenEvtchn(d.cfg.System)
	}
	if err == nil {
		if l.port, err = l.dev.BindInterdomain(d.cfg.Guest, f.Port); err != nil {
			_ = l.dev.Close()
		}
	}
	if err != nil {
		_ = page.Unmap()
		return nil, err
	}
	l.pump.Go(l.listen)
	return l, nil
}

// listen takes events until the port is closed. Who waits unmasks, so what a
// guest sends while nobody waits costs nothing.
func (l *Link) listen() {
	idle, progress := 0, uint64(0)
	events := rate.NewLimiter(eventRate, eventBurst)
	for {
		if events.Wait(l.life) != nil {
			return
		}
		if _, err := l.dev.Pending(); err != nil {
			l.fail(err)
			return
		}
		now := progress
		_ = l.within(func() error { now = l.ring.Progress(); return nil })
		if idle++; now != progress {
			idle, progress = 0, now
		}
		if idle > floodLimit {
			l.fail(fmt.Errorf("%w: %d in a row without a byte moved", ErrFlood, idle))
			return
		}
		l.mu.Lock()
		l.masked = true
		close(l.changed)
		l.changed = make(chan struct{})
		l.mu.Unlock()
	}
}

// arm says where the next event shows. The caller looks at the ring afterwards,
// then waits.
func (l *Link) arm() (<-chan struct{}, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return nil, l.err
	}
	if l.masked {
		if err := l.dev.Unmask(l.port); err != nil {
			return nil, err
		}
		l.masked = false
	}
	return l.changed, nil
}

// within runs f while the page is mapped.
func (l *Link) within(f func() error) error {
	l.use.RLock()
	defer l.use.RUnlock()
	if l.page == nil {
		return l.Err()
	}
	if err := l.Err(); err != nil {
		return err
	}
	return f()
}

// Wait returns when the guest has written something that nobody has read.
func (l *Link) Wait(ctx context.Context) error {
	return l.until(ctx, func() (bool, error) {
		n, err := l.ring.Buffered()
		return n > 0, err
	})
}

// Drained returns when the guest has taken all that was written, or with the
// error of ctx.
func (l *Link) Drained(ctx context.Context) error {
	return l.until(ctx, func() (bool, error) {
		n, err := l.ring.Unread()
		return n == 0, err
	})
}

func (l *Link) until(ctx context.Context, done func() (bool, error)) error {
	for {
		changed, err := l.arm()
		if err != nil {
			return err
		}
		ok := false
		if err := l.within(func() (err error) { ok, err = done(); return err }); err != nil {
			return l.fail(err)
		}
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-l.life.Done():
		case <-ctx.Done():
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// notify tells the guest. Where it is gone the event is lost.
func (l *Link) notify() error { return l.dev.Notify(l.port) }

// Dead is closed when the link is over: closed, or the guest broke the rules.
func (l *Link) Dead() <-chan struct{} { return l.life.Done() }

// Err is nil, or why the link is over: net.ErrClosed after Close, or what the
// guest did, see transport.Hostile.
func (l *Link) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// fail ends the link for a reason and gives the one that stands.
func (l *Link) fail(err error) error {
	if errors.Is(err, xendev.ErrClosed) {
		err = net.ErrClosed
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = err
		l.end()
	}
	return l.err
}

// Close ends the link and all connections on it, and unmaps the page. It waits
// for nobody outside.
func (l *Link) Close() error {
	l.fail(net.ErrClosed)
	closed := l.dev.Close()
	l.pump.Wait()
	l.use.Lock()
	defer l.use.Unlock()
	if l.page == nil {
		return nil
	}
	_ = l.ring.Wipe() // nobody else is in the page
	err := l.page.Unmap()
	l.page = nil
	return errors.Join(closed, err)
}
