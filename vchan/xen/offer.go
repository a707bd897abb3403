package xen

import (
	"context"
	"fmt"
	"time"

	"github.com/xentropyd/xentropyd/internal/xendev"
	"github.com/xentropyd/xentropyd/vchan"
	"github.com/xentropyd/xentropyd/vchan/ring"
	"github.com/xentropyd/xentropyd/xenstore"
)

// withdrawTime bounds the removal of the nodes at the end, when xenstored does
// not answer.
const withdrawTime = 2 * time.Second

// Offer makes a channel for the domain peer and publishes it under path. It
// does not wait for the client: [vchan.Conn.Wait] does. ctx bounds
// the making alone.
//
// When the Conn ends, by Close or by a peer that breaks the rules, the path is
// removed, if it still holds this offer; store must live that long. A xenstored
// that does not answer can hold Close up for 2 s. What a killed server leaves
// behind is for clients [ErrStale], and the next Offer replaces it.
func Offer(ctx context.Context, store *xenstore.Client, peer uint16, path string,
	opts OfferOptions,
) (*vchan.Conn, error) {
	if opts.Orders == (ring.Orders{}) {
		opts.Orders = DefaultOrders
	}
	c, err := offer(ctx, store, peer, path, opts)
	if err != nil {
		return nil, fmt.Errorf("offer a vchan to domain %d at %s: %w", peer, path, err)
	}
	return c, nil
}

func offer(ctx context.Context, store *xenstore.Client, peer uint16, path string,
	opts OfferOptions,
) (*vchan.Conn, error) {
	if err := xenstore.ValidatePath(path); err != nil {
		return nil, err
	}
	if err := opts.Orders.Check(); err != nil {
		return nil, err
	}
	own := opts.Own
	if own == 0 {
		var err error
		if own, err = store.OwnDomID(ctx); err != nil {
			return nil, fmt.Errorf("ask for the own domid: %w", err)
		}
	}
	s, err := share(ctx, peer, opts)
	if err != nil {
		return nil, err
	}
	c, err := vchan.New(vchan.Config{
		Role: ring.Server, Orders: opts.Orders, Grants: s.refs[1:], Memory: s.memory, Events: s.events, Spin: spin,
		Local:  vchan.Addr{Net: "xen", Name: fmt.Sprintf("%s server (domain %d)", path, own)},
		Remote: vchan.Addr{Net: "xen", Name: fmt.Sprintf("%s client (domain %d)", path, peer)},
	})
	if err != nil {
		return nil, err
	}
	n := Published{Ref: s.refs[0], Port: s.port}
	published := false
	*s.ended = func() {
		if opts.Keep != nil && opts.Keep() {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), withdrawTime)
		defer cancel()
		if opts.Fresh && !published {
			_ = store.Rm(ctx, path) // there may be half of it
			return
		}
		_ = withdraw(ctx, store, path, n) // what stays is found to be stale
	}
	if err := publish(ctx, store, path, own, peer, n, opts.Fresh); err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("publish the offer: %w", err)
	}
	published = true
	return c, nil
}

func newEvents(sys xendev.System, bind func(*xendev.Evtchn) (uint32, error)) (*events, error) {
	d, err := xendev.OpenEvtchn(sys)
	if err != nil {
		return nil, err
	}
	port, err := bind(d)
	if err != nil {
		_ = d.Close()
		return nil, err
	}
	return &events{dev: d, port: port}, nil
}

// shared is what an offer has of the kernel.
type shared struct {
	memory *memory
	refs   []uint32 // of the page, then of the left ring, then of the right one
	port   uint32
	events vchan.Events
	ended  *func() // what the events call when they are closed
}

// share makes the event channel, or takes the one given, and the pages.
func share(ctx context.Context, peer uint16, opts OfferOptions) (s shared, err error) {
	if p := opts.Port; p != nil {
		return p.share(ctx, peer, opts.Orders)
	}
	ev, err := newEvents(opts.System, func(d *xendev.Evtchn) (uint32, error) { return d.BindUnbound(peer) })
	if err != nil {
		return s, err
	}
	s = shared{port: ev.port, events: ev, ended: &ev.closed}
	if s.memory, s.refs, err = allocate(opts.System, peer, opts.Orders, ev.port); err != nil {
		_ = ev.Close()
	}
	return s, err
}

func allocate(sys xendev.System, peer uint16, o ring.Orders, port uint32) (*memory, []uint32, error) {
	d, err := xendev.OpenGntalloc(sys)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = d.Close() }() // what is mapped keeps the kernel's side alive
	return allocateFrom(d, peer, o, func(m *xendev.Mapping) error { return m.NotifyUnmap(offSrvLive, port) })
}

// allocateFrom makes the page and the rings, in this order, and has ask say
// what the kernel is to do at the page's end.
func allocateFrom(d *xendev.Gntalloc, peer uint16, o ring.Orders,
	ask func(*xendev.Mapping) error,
) (*memory, []uint32, error) {
	all, refs, err := d.Alloc(peer, 1+o.Grants())
	if err != nil {
		return nil, nil, err
	}
	if err := ask(all); err != nil {
		_ = all.Unmap()
		return nil, nil, err
	}
	b := all.Bytes()
	m := &memory{page: b[:ring.PageSize:ring.PageSize], maps: []*xendev.Mapping{all}}
	m.layRings(b[ring.PageSize:], o)
	return m, refs, nil
}
