package discovery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/xentropyd/xentropyd/internal/wait"
	"github.com/xentropyd/xentropyd/transport"
	"github.com/xentropyd/xentropyd/transport/console"
	"github.com/xentropyd/xentropyd/xenstore"
)

// Discovery finds guests. It is a [transport.Listener].
type Discovery struct {
	cfg Options
	own uint16

	ctx      context.Context
	cancel   context.CancelCauseFunc
	wg       sync.WaitGroup // all goroutines
	last     sync.Once      // what Close does at the very end
	arrivals chan arrival
	connects chan struct{} // one place for each connection in the making
	turn     chan struct{} // console.Config.Turn

	mu      sync.Mutex
	guests  map[uint16]*guest
	arrived uint64 // guests in all
	err     error  // why it ended by itself
}

type arrival struct {
	ch   transport.Conn
	peer transport.Peer
}

var (
	// errGone ends what belongs to a domain that does not exist any more.
	errGone = errors.New("the domain is gone")
	// errDenied ends what belongs to a domain that the lists do not allow any
	// more.
	errDenied = errors.New("the domain is not allowed any more")
)

var _ transport.Finder = (*Discovery)(nil)

// Listen asks who we are and begins to look for guests. ctx bounds the asking.
func Listen(ctx context.Context, cfg Options) (*Discovery, error) {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	own, err := cfg.Store.OwnDomID(ctx)
	if err != nil {
		return nil, fmt.Errorf("find guests: ask xenstored for the own domain's number: %w", err)
	}
	watches := make([]*xenstore.Watch, 0, 2)
	for _, p := range []string{xenstore.IntroduceDomain, xenstore.ReleaseDomain} {
		w, err := cfg.Store.Watch(ctx, p)
		if err != nil {
			for _, w := range watches {
				_ = w.Close()
			}
			return nil, fmt.Errorf("find guests: watch %s: %w", p, err)
		}
		watches = append(watches, w)
	}
	d := &Discovery{
		cfg: cfg, own: own,
		arrivals: make(chan arrival),
		connects: make(chan struct{}, parallel),
		turn:     make(chan struct{}, 1),
		guests:   make(map[uint16]*guest),
	}
	d.ctx, d.cancel = context.WithCancelCause(context.Background())
	d.wg.Go(func() { d.run(watches[0], watches[1]) })
	return d, nil
}

// Accept gives the next channel of a guest. After Close it gives net.ErrClosed,
// and when xenstored is lost for good that error.
func (d *Discovery) Accept() (transport.Conn, transport.Peer, error) {
	select {
	case <-d.ctx.Done():
	default:
		select {
		case a := <-d.arrivals:
			return a.ch, a.peer, nil
		case <-d.ctx.Done():
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return nil, transport.Peer{}, d.err
	}
	return nil, transport.Peer{}, net.ErrClosed
}

// Close stops looking, gives the host 2 s to end its sessions, ends those that
// are left, and takes all nodes of ours out of xenstore. It waits for all of
// that, in each call.
func (d *Discovery) Close() error {
	d.cancel(net.ErrClosed)
	d.wg.Wait()
	d.last.Do(d.unplugLeftovers)
	return nil
}

// unplugLeftovers takes out the consoles whose plugging was cut short by the
// end after it had reached the store.
func (d *Discovery) unplugLeftovers() {
	if !d.cfg.Console {
		return
	}
	ctx, cancel := cleaning()
	defer cancel()
	names, err := d.cfg.Store.Directory(ctx, console.BackPath(d.own))
	if err != nil {
		return // none, or no xenstored any more
	}
	for _, name := range names {
		id, ok := parseDomID(name)
		if !ok {
			continue
		}
		left, err := console.Leftovers(ctx, d.console(id))
		if err != nil {
			continue
		}
		for _, dev := range left {
			ask, cancel := context.WithTimeout(ctx, askTime)
			if err := dev.Unplug(ask); err != nil {
				d.cfg.Log.Warn("console not taken out; the next start does it", "domain", id, "error", err)
			}
			cancel()
		}
	}
}

// run looks, compares and looks again. It owns the guests.
func (d *Discovery) run(introduced, released *xenstore.Watch) {
	defer func() {
		_ = introduced.Close()
		_ = released.Close()
	}()
	tick := time.NewTicker(rescanTime)
	defer tick.Stop()
	retry := wait.Backoff{First: firstRetry, Last: lastRetry}
	swept := false
	for {
		alive, err := d.list()
		var again <-chan time.Time
		switch {
		case d.ctx.Err() != nil:
			return
		case err != nil:
			if fatal := d.cfg.Store.Err(); fatal != nil {
				d.end(fmt.Errorf("find guests: %w", fatal))
				return
			}
			d.cfg.Log.Warn("cannot list the guests; trying again", "error", err)
			again = time.After(retry.Next())
		default:
			retry.Reset()
			d.compare(alive)
			if !swept {
				swept = true
				d.sweep(alive)
			}
		}
		select {
		case <-introduced.C():
		case <-released.C():
		case <-tick.C:
			swept = false
		case <-again:
		case <-d.ctx.Done():
			return
		}
		introduced.Take()
		released.Take()
		if err := errors.Join(introduced.Err(), released.Err()); err != nil && d.ctx.Err() == nil {
			d.end(fmt.Errorf("find guests: watch for domains: %w", err))
			return
		}
	}
}

// end is an end that nobody asked for.
func (d *Discovery) end(err error) {
	d.mu.Lock()
	d.err = err
	d.mu.Unlock()
	d.cancel(err)
}

// list gives the domains that are alive, our own left out, each with its node
// vm. It tells a domain by its number's next owner too.
func (d *Discovery) list() (map[uint16]string, error) {
	names, err := d.cfg.Store.Directory(d.ctx, "/local/domain")
	if err != nil {
		return nil, err
	}
	alive := make(map[uint16]string, len(names))
	for _, name := range names {
		id, ok := parseDomID(name)
		if !ok || id == d.own {
			continue
		}
		// The nodes of a dead domain stay until the toolstack removes them,
		// those of a new one come before it does. Who is not privileged may not
		// ask, and takes what is there.
		known, err := d.cfg.Store.IsDomainIntroduced(d.ctx, id)
		switch {
		case errors.Is(err, xenstore.ErrPermission), errors.Is(err, xenstore.ErrNotSupported):
			known = true
		case err != nil:
			return nil, err
		}
		if !known {
			continue
		}
		vm, err := d.cfg.Store.Read(d.ctx, xenstore.Join(xenstore.DomainPath(id), "vm"))
		switch {
		case errors.Is(err, xenstore.ErrNotFound), errors.Is(err, xenstore.ErrPermission):
			vm = ""
		case err != nil:
			return nil, err
		}
		alive[id] = vm
	}
	return alive, nil
}

// compare begins with who is new and ends with who has gone.
func (d *Discovery) compare(alive map[uint16]string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, g := range d.guests {
		if vm, ok := alive[id]; !ok || vm != g.vm {
			d.cfg.Log.Debug("guest is gone", "domain", id, "name", g.who().name)
			g.cancel(errGone)
			if !ok {
				delete(d.guests, id)
			}
		}
	}
	for id, vm := range alive {
		old := d.guests[id]
		if old != nil && old.vm == vm {
			continue
		}
		d.arrived++
		g := newGuest(d, id, vm, d.arrived, old)
		d.guests[id] = g
		d.wg.Go(g.run)
	}
}

// sweep removes the back ends of guests that went while nobody looked, or of
// which something was left.
func (d *Discovery) sweep(alive map[uint16]string) {
	if !d.cfg.Console {
		return
	}
	names, err := d.cfg.Store.Directory(d.ctx, console.BackPath(d.own))
	if err != nil {
		return
	}
	for _, name := range names {
		id, ok := parseDomID(name)
		if _, there := alive[id]; ok && !there {
			_ = console.Forget(d.ctx, d.console(id))
		}
	}
}

func (d *Discovery) console(id uint16) console.Config {
	return console.Config{Store: d.cfg.Store, Own: d.own, Guest: id, Turn: d.turn, System: d.cfg.System}
}

// slot takes a place among those who connect; the caller gives it back.
func (d *Discovery) slot(ctx context.Context) (free func(), err error) {
	select {
	case d.connects <- struct{}{}:
		return func() { <-d.connects }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
