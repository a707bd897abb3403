package discovery

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/xentropyd/xentropyd/internal/wait"
	"github.com/xentropyd/xentropyd/transport"
	"github.com/xentropyd/xentropyd/transport/internal/domain"
	"github.com/xentropyd/xentropyd/xenstore"
)

// guest is one domain, from its introduction to its release. run is its
// goroutine, with one for each carrier:
//
//	run ── allowed? ── announce ──┬── serveVChan:   wait for an offer, connect,
//	        ^                     │                 give it to the host, again
//	        │ name changes        └── serveConsole: plug, wait for the ring,
//	                                  connect, wait for bytes, give, again
type guest struct {
	d      *Discovery
	vm     string // the node
	number uint64 // of all guests that ever came
	before *guest // had this domain number until now, or nil

	ctx    context.Context
	cancel context.CancelCauseFunc
	done   chan struct{}

	mu    sync.Mutex
	id    identity
	state transport.DomainState
	tally map[string]*tally
}

func newGuest(d *Discovery, domid uint16, vm string, number uint64, before *guest) *guest {
	g := &guest{
		d: d, vm: vm, number: number, before: before,
		id:    identity{domid: domid, uuid: parseUUID(vm)},
		done:  make(chan struct{}),
		tally: make(map[string]*tally),
		state: transport.DomainNew,
	}
	g.ctx, g.cancel = context.WithCancelCause(d.ctx)
	return g
}

func (g *guest) who() identity {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.id
}

func (g *guest) path(names ...string) string {
	return xenstore.Join(xenstore.DomainPath(g.id.domid), names...)
}

// peer says who is at the other end. All of it is the toolstack's word.
func (g *guest) peer(carrier string) transport.Peer {
	id := g.who()
	return transport.Peer{
		ID: id.id(), Group: id.domain(), Name: id.name, Carrier: carrier,
		First: true, Incarnation: id.domain(),
	}
}

// run serves the domain while its name is an allowed one. A domain that is
// migrated here is renamed at the end of that.
func (g *guest) run() {
	defer close(g.done)
	defer g.cancel(nil)
	if g.before != nil {
		<-g.before.done // whose nodes stand where ours will
		g.before = nil
	}
	names := newChanges(g.ctx, g.d.cfg.Store, g.path("name"))
	defer names.close()
	stop := func(error) {}
	serving := false
	defer func() { stop(context.Cause(g.ctx)) }()
	for {
		select {
		case <-names.C:
		case <-g.ctx.Done():
			return
		}
		if !g.readName() {
			continue
		}
		allowed := g.who().allowed(g.d.cfg.Allow, g.d.cfg.Deny)
		switch {
		case allowed && !serving:
			stop = g.begin()
		case !allowed && serving:
			stop(errDenied)
			stop = func(error) {}
		}
		serving = allowed
		g.note(func() {
			g.state = transport.DomainDenied
			if allowed {
				g.state = transport.DomainServed
			}
		})
	}
}

func (g *guest) note(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f()
}

// readName reads the name, and keeps the last one when there is none any more:
// the domain is being destroyed then.
func (g *guest) readName() bool {
	name, err := g.d.cfg.Store.Read(g.ctx, g.path("name"))
	if err != nil && !errors.Is(err, xenstore.ErrNotFound) && !errors.Is(err, xenstore.ErrPermission) {
		return false
	}
	if err == nil {
		g.note(func() { g.id.name = printable(name) })
	}
	return true
}

// begin serves the guest until stop is called, which waits.
func (g *guest) begin() (stop func(error)) {
	ctx, cancel := context.WithCancelCause(g.ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		defer g.withdraw()
		if !g.announceUntilDone(ctx) {
			return
		}
		var carriers sync.WaitGroup
		if g.d.cfg.VChan {
			carriers.Go(func() { g.serveVChan(ctx) })
		}
		if g.d.cfg.Console {
			carriers.Go(func() { g.serveConsole(ctx) })
		}
		carriers.Wait()
	})
	return func(why error) {
		cancel(why)
		wg.Wait()
	}
}

// announceUntilDone returns false if ctx ended first or the domain is gone.
func (g *guest) announceUntilDone(ctx context.Context) bool {
	retry := wait.Backoff{First: firstRetry, Last: lastRetry}
	for {
		err := g.announce(ctx)
		switch {
		case err == nil:
			return true
		case errors.Is(err, errGone), ctx.Err() != nil:
			return false
		}
		g.trouble(transport.Announcement, err)
		if !wait.For(ctx, retry.Next()) {
			return false
		}
	}
}

// announce tells the guest in its own part of xenstore, which nobody else may
// read, that we are here.
func (g *guest) announce(ctx context.Context) error {
	domid, own := g.id.domid, g.d.own
	return g.d.cfg.Store.Transaction(ctx, func(tx *xenstore.Tx) error {
		if _, err := tx.Read(ctx, g.path()); errors.Is(err, xenstore.ErrNotFound) {
			return errGone // and is not to be made anew by us
		} else if err != nil {
			return err
		}
		if _, err := tx.Read(ctx, g.path("data")); errors.Is(err, xenstore.ErrNotFound) {
			// As libxl makes it: the guest puts its offers there.
			if err := tx.Mkdir(ctx, g.path("data")); err != nil {
				return err
			}
			if err := tx.SetPerms(ctx, g.path("data"), xenstore.Perm{
				DomID:  domid,
				Access: xenstore.AccessNone,
			}); err != nil {
				return err
			}
		}
		// What is there may be the guest's own, with more below it than we care
		// to look at.
		at := g.path(domain.Announcement)
		if err := tx.Rm(ctx, at); err != nil && !errors.Is(err, xenstore.ErrNotFound) {
			return err
		}
		if err := tx.Mkdir(ctx, at); err != nil {
			return err
		}
		perms := []xenstore.Perm{{DomID: own, Access: xenstore.AccessNone}, {DomID: domid, Access: xenstore.AccessRead}}
		if err := tx.SetPerms(ctx, at, perms...); err != nil {
			return err
		}
		for name, value := range map[string]string{
			domain.NodeInstance: g.d.cfg.Instance,
			domain.NodeArrival:  strconv.FormatUint(g.number, 10),
		} {
			if err := tx.Write(ctx, xenstore.Join(at, name), value); err != nil {
				return err
			}
		}
		return nil
	})
}

// withdraw takes the announcement back, if the domain still has nodes.
func (g *guest) withdraw() {
	ctx, cancel := cleaning()
	defer cancel()
	_ = g.d.cfg.Store.Transaction(ctx, func(tx *xenstore.Tx) error {
		v, err := tx.Read(ctx, g.path(domain.Announcement, domain.NodeInstance))
		if err != nil || v != g.d.cfg.Instance {
			return err // gone, or a successor's
		}
		return tx.Rm(ctx, g.path(domain.Announcement))
	})
}

// cleaning is for what must be done when everything else has ended.
func cleaning() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), cleanTime)
}

// trouble counts what went wrong with a carrier, and says it once.
func (g *guest) trouble(carrier string, err error) {
	if g.ctx.Err() != nil {
		return
	}
	first := false
	g.note(func() {
		t := g.carrier(carrier)
		t.Failures++
		first = t.LastError == ""
		t.LastError, t.failed = err.Error(), time.Now()
	})
	log := g.d.cfg.Log.Debug
	if first {
		log = g.d.cfg.Log.Warn
	}
	id := g.who()
	log("no connection to a guest; this is said once, and counted", "carrier", carrier, "guest", id.id(), "domain",
		id.domid, "name", id.name, "error", err)
}

// connected counts a channel.
func (g *guest) connected(carrier string, up bool) {
	g.note(func() {
		t := g.carrier(carrier)
		if t.Connected = up; up {
			t.Connects++
		}
	})
}

// carrier is the tally of one; the caller holds mu.
func (g *guest) carrier(name string) *tally {
	t := g.tally[name]
	if t == nil {
		t = &tally{CarrierStatus: transport.CarrierStatus{Carrier: name}}
		g.tally[name] = t
	}
	return t
}
