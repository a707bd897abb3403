package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/xentropyd/xentropyd/host"
	"github.com/xentropyd/xentropyd/host/discovery"
	"github.com/xentropyd/xentropyd/internal/config"
	"github.com/xentropyd/xentropyd/xenstore"
)

// xenTime bounds how long one attempt to speak to xenstored may take, xenPause lies between two.
const (
	xenTime  = 10 * time.Second
	xenPause = time.Second
)

// xenGuests is the search for the guests of a Xen host, a listener to the server. The daemon starts before most of
// the system does and xenstored does not: the search begins when xenstored answers, and nobody waits for it.
type xenGuests struct {
	open func(ctx context.Context) (xenFinder, io.Closer, error)
	log  *slog.Logger

	ctx   context.Context
	stop  context.CancelFunc
	begun chan struct{} // closed when found is there
	wg    sync.WaitGroup

	found xenFinder // written before begun is closed
	store io.Closer
}

// xenFinder is what a [discovery.Discovery] does.
type xenFinder interface {
	host.Listener
	Domains() []discovery.Domain
}

// openXen begins the search. It fails where this is no Xen host, or its drivers are not loaded.
func openXen(c config.Xen, instance string, log *slog.Logger) (*xenGuests, error) {
	if err := discovery.Available(); err != nil {
		return nil, err
	}
	return newXenGuests(log, func(ctx context.Context) (xenFinder, io.Closer, error) {
		store, err := xenstore.Open(ctx, xenstore.WithReconnect(xenstore.ReconnectPolicy{Notify: func(err error) {
			if err != nil && !errors.Is(err, xenstore.ErrClosed) {
				log.Warn("no connection to xenstored; guests that are connected go on", "error", err)
			}
		}}))
		if err != nil {
			return nil, nil, err
		}
		found, err := discovery.Listen(ctx, discovery.Config{
			Store: store, Allow: c.Allow, Deny: c.Deny, NoVChan: !c.VChan, NoConsole: !c.Console, Instance: instance, Log: log,
		})
		if err != nil {
			_ = store.Close()
			return nil, nil, err
		}
		return found, store, nil
	}), nil
}

func newXenGuests(log *slog.Logger, open func(context.Context) (xenFinder, io.Closer, error)) *xenGuests {
	x := &xenGuests{open: open, log: log, begun: make(chan struct{})}
	x.ctx, x.stop = context.WithCancel(context.Background())
	x.wg.Go(x.begin)
	return x
}

// begin tries until xenstored answers.
func (x *xenGuests) begin() {
	level := slog.LevelWarn
	for {
		ctx, cancel := context.WithTimeout(x.ctx, xenTime)
		found, store, err := x.open(ctx)
		cancel()
		if err == nil {
			x.found, x.store = found, store
			close(x.begun)
			return
		}
		if x.ctx.Err() != nil {
			return
		}
		x.log.Log(x.ctx, level, "xenstored does not answer yet; guests of Xen are looked for once it does", "error", err)
		level = slog.LevelDebug
		select {
		case <-time.After(xenPause):
		case <-x.ctx.Done():
			return
		}
	}
}

// Accept implements [host.Listener].
func (x *xenGuests) Accept() (host.Channel, host.Peer, error) {
	select {
	case <-x.begun:
		return x.found.Accept()
	case <-x.ctx.Done():
		return nil, host.Peer{}, net.ErrClosed
	}
}

// Close waits until all that is ours is out of the guests. It may be called twice.
func (x *xenGuests) Close() error {
	x.stop()
	x.wg.Wait()
	select {
	case <-x.begun:
		return errors.Join(x.found.Close(), x.store.Close())
	default:
		return nil
	}
}

// domains is the function that says who is there, nil on nil.
func (x *xenGuests) domains() func() []discovery.Domain {
	if x == nil {
		return nil
	}
	return func() []discovery.Domain {
		select {
		case <-x.begun:
			return x.found.Domains()
		default:
			return []discovery.Domain{}
		}
	}
}

// close is Close, on nil too. There is nothing left to do about an error.
func (x *xenGuests) close() {
	if x != nil {
		_ = x.Close()
	}
}
