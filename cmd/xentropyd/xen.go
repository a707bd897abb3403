package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/xentropyd/xentropyd/host/discovery"
	"github.com/xentropyd/xentropyd/internal/config"
	"github.com/xentropyd/xentropyd/xenstore"
)

// xenGuests is the search for the guests of a Xen host.
type xenGuests struct {
	store *xenstore.Client
	found *discovery.Discovery
}

// xenTime bounds how long xenstored may take to answer at the start.
const xenTime = 10 * time.Second

// openXen begins the search.
func openXen(c config.Xen, instance string, log *slog.Logger) (*xenGuests, error) {
	if err := discovery.Available(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), xenTime)
	defer cancel()
	store, err := xenstore.Open(ctx, xenstore.WithReconnect(xenstore.ReconnectPolicy{Notify: func(err error) {
		if err != nil && !errors.Is(err, xenstore.ErrClosed) {
			log.Warn("no connection to xenstored; guests that are connected go on", "error", err)
		}
	}}))
	if err != nil {
		return nil, err
	}
	found, err := discovery.Listen(ctx, discovery.Config{
		Store: store, Allow: c.Allow, Deny: c.Deny, NoVChan: !c.VChan, NoConsole: !c.Console, Instance: instance, Log: log,
	})
	if err != nil {
		_ = store.Close()
		return nil, err
	}
	return &xenGuests{store, found}, nil
}

// domains is the function that says who is there, nil on nil.
func (x *xenGuests) domains() func() []discovery.Domain {
	if x == nil {
		return nil
	}
	return x.found.Domains
}

// close waits until all that is ours is out of the guests. It may be called twice, and on nil.
func (x *xenGuests) close() {
	if x == nil {
		return
	}
	_ = x.found.Close()
	_ = x.store.Close()
}
