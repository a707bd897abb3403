package xen

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/xentropyd/xentropyd/internal/xendev"
	"github.com/xentropyd/xentropyd/transport"
	"github.com/xentropyd/xentropyd/transport/internal/domain"
	"github.com/xentropyd/xentropyd/vchan"
	vchanxen "github.com/xentropyd/xentropyd/vchan/xen"
	"github.com/xentropyd/xentropyd/xenstore"
)

// machine is a guest's surroundings.
type machine struct {
	opener domain.Opener
	system xendev.System
	lock   string // what the offering process holds, "" for none
	ports  *ports
	timing domain.Timing
}

// open takes the lock and connects to xenstore.
func (m *machine) open(ctx context.Context, host uint16) (hold, error) {
	unlock, err := domain.Lock(m.lock)
	if errors.Is(err, transport.ErrBusy) {
		return nil, fmt.Errorf("another process of this guest has the channel to domain %d: %w", host, err)
	}
	if err != nil {
		return nil, domain.Explain(err)
	}
	store, err := m.opener(ctx, xenstore.WithReconnect(xenstore.ReconnectPolicy{}))
	if err != nil {
		unlock()
		return nil, domain.Explain(err)
	}
	return &held{m, store, unlock}, nil
}

// held is what all channels of an attachment share.
type held struct {
	m      *machine
	store  *xenstore.Client
	unlock func()
}

func (h *held) number(ctx context.Context) (uint16, error) { return domain.Number(ctx, h.store) }

func (h *held) instance(ctx context.Context) (string, error) { return domain.Instance(ctx, h.store) }

func (h *held) restored(own uint16) { h.m.ports.restored(own) }

func (h *held) watch() domain.Watch { return domain.Watch{Open: h.m.opener, Timing: h.m.timing} }

func (h *held) close() {
	_ = h.store.Close()
	h.unlock()
}

func (h *held) offer(ctx context.Context, host, own uint16, fresh bool) (channel, error) {
	o := &offer{ports: h.m.ports}
	var err error
	if o.at, err = vchanxen.Path(own, host, domain.Port); err != nil {
		return nil, err
	}
	if o.port, err = h.m.ports.take(host, own, h.m.system); err != nil {
		return nil, domain.Explain(err)
	}
	o.Conn, err = vchanxen.Offer(ctx, h.store, host, o.at, vchanxen.OfferOptions{
		Port: o.port.Port, Own: own, Fresh: fresh, Keep: o.lost.Load,
	})
	if err != nil {
		return nil, domain.Explain(err)
	}
	return o, nil
}

// offer is a vchan on one of the process's event channels.
type offer struct {
	*vchan.Conn
	at    string
	port  *guestPort
	ports *ports
	lost  atomic.Bool // the path is no more
}

func (o *offer) path() string   { return o.at }
func (o *offer) doubtful() bool { return o.ports.doubtful(o.port) }
func (o *offer) doubt()         { o.ports.doubt(o.port) }
func (o *offer) came()          { o.ports.came(o.port) }
func (o *offer) outlived()      { o.lost.Store(true) }
