package xen

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/xentropyd/xentropyd/transport"
	"github.com/xentropyd/xentropyd/transport/xen/internal/discovery"
	"github.com/xentropyd/xentropyd/xenstore"
)

// One attempt to speak to xenstored may take searchTime, and searchPause lies
// between two.
const (
	searchTime  = 10 * time.Second
	searchPause = time.Second
)

// listener looks for the guests of a Xen host. The daemon starts before most of
// the system does and xenstored does not: the search begins when xenstored
// answers, and nobody waits for it.
type listener struct {
	open func(ctx context.Context) (transport.Finder, io.Closer, error)
	log  *slog.Logger

	ctx   context.Context
	stop  context.CancelFunc
	begun chan struct{} // closed when found is there
	wg    sync.WaitGroup

	found transport.Finder // written before begun is closed
	store io.Closer
}

// listen begins the search. It fails where this is no Xen host, or its drivers
// are not loaded.
func listen(path string, o transport.ListenOptions) (transport.Listener, error) {
	if path != "" {
		return nil, errors.New("a host finds all its guests: leave the number out")
	}
	if err := discovery.Available(); err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	c := discovery.DefaultConfig()
	if o.Config != nil {
		c = *o.Config.(*discovery.Config)
	}
	return newListener(o.Log, func(ctx context.Context) (transport.Finder, io.Closer, error) {
		store, err := xenstore.Open(ctx, xenstore.WithReconnect(xenstore.ReconnectPolicy{Notify: func(err error) {
			if err != nil && !errors.Is(err, xenstore.ErrClosed) {
				o.Log.Warn("no connection to xenstored; guests that are connected go on", "error", err)
			}
		}}))
		if err != nil {
			return nil, nil, err
		}
		found, err := discovery.Listen(ctx, discovery.Options{
			Config: c, Store: store,
			Instance: o.Instance, Log: o.Log,
		})
		if err != nil {
			_ = store.Close()
			return nil, nil, err
		}
		return found, store, nil
	}), nil
}

func newListener(log *slog.Logger, open func(context.Context) (transport.Finder, io.Closer, error)) *listener {
	l := &listener{open: open, log: log, begun: make(chan struct{})}
	l.ctx, l.stop = context.WithCancel(context.Background())
	l.wg.Go(l.begin)
	return l
}

// begin tries until xenstored answers.
func (l *listener) begin() {
	level := slog.LevelWarn
	for {
		ctx, cancel := context.WithTimeout(l.ctx, searchTime)
		found, store, err := l.open(ctx)
		cancel()
		if err == nil {
			l.found, l.store = found, store
			close(l.begun)
			return
		}
		if l.ctx.Err() != nil {
			return
		}
		l.log.Log(l.ctx, level, "xenstored does not answer yet; guests of Xen are looked for once it does", "error",
			err)
		level = slog.LevelDebug
		select {
		case <-time.After(searchPause):
		case <-l.ctx.Done():
			return
		}
	}
}

// Accept gives the next channel of a guest.
func (l *listener) Accept() (transport.Conn, transport.Peer, error) {
	select {
	case <-l.begun:
		return l.found.Accept()
	case <-l.ctx.Done():
		return nil, transport.Peer{}, net.ErrClosed
	}
}

// Close waits until all that is ours is out of the guests. It may be called
// twice.
func (l *listener) Close() error {
	l.stop()
	l.wg.Wait()
	select {
	case <-l.begun:
		return errors.Join(l.found.Close(), l.store.Close())
	default:
		return nil
	}
}

// Domains says who is there, nobody before the search has begun.
func (l *listener) Domains() []transport.Domain {
	select {
	case <-l.begun:
		return l.found.Domains()
	default:
		return []transport.Domain{}
	}
}
