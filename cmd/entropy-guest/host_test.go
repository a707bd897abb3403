package main

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"

	"github.com/xentropyd/xentropyd/host"
	"github.com/xentropyd/xentropyd/transport"
	"github.com/xentropyd/xentropyd/vchan"
	"github.com/xentropyd/xentropyd/vchan/ring"
)

// drawer is what a test's host draws from: the kernel.
type drawer struct {
	unseeded atomic.Bool
	ready    chan struct{}
}

func newDrawer() *drawer {
	d := &drawer{ready: make(chan struct{})}
	close(d.ready)
	return d
}

func (d *drawer) Draw(p []byte) (int, error) {
	if d.unseeded.Load() {
		return 0, host.ErrNotSeeded
	}
	rand.Read(p)
	return min(8*len(p), 256), nil
}

func (d *drawer) Degraded() bool         { return false }
func (d *drawer) Ready() <-chan struct{} { return d.ready }

// testHost is a real server over some listener.
type testHost struct {
	*host.Server
	stop func()
}

func startHost(l transport.Listener, d *drawer) (*testHost, error) {
	cfg := host.DefaultConfig()
	cfg.Budget.Bytes, cfg.Limits.NewSessionsPerSecond, cfg.Log = 1<<20, 1e6, slog.New(slog.DiscardHandler)
	s, err := host.NewServer(d, cfg)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Run(ctx) })
	wg.Go(func() { _ = s.Serve(ctx, l) })
	return &testHost{s, sync.OnceFunc(func() { cancel(); wg.Wait() })}, nil
}

// pipes is a carrier inside one process.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	close func()
}

func newPipes() *pipes {
	p := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
	p.close = sync.OnceFunc(func() { close(p.done) })
	return p
}

var errNobody = errors.New("nobody serves")

func (p *pipes) dial(ctx context.Context) (transport.Conn, error) {
	// Not net.Pipe, which holds nothing: there two ends that write at the same
	// time wait for each other.
	ours, theirs, err := vchan.Pipe(ring.Orders{Left: 11, Right: 10})
	if err != nil {
		return nil, err
	}
	select {
	case p.conns <- theirs:
		return ours, nil
	case <-p.done:
		return nil, errNobody
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *pipes) Accept() (transport.Conn, transport.Peer, error) {
	select {
	case c := <-p.conns:
		return c, transport.Peer{ID: "test:1", Group: "test", Name: "test", Carrier: "pipe"}, nil
	case <-p.done:
		return nil, transport.Peer{}, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.close()
	return nil
}
