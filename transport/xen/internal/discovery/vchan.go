package discovery

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/xentropyd/xentropyd/internal/wait"
	"github.com/xentropyd/xentropyd/transport/internal/domain"
	"github.com/xentropyd/xentropyd/vchan"
	"github.com/xentropyd/xentropyd/vchan/xen"
)

// serveVChan connects to each offer of the guest, one at a time.
func (g *guest) serveVChan(ctx context.Context) {
	path, err := xen.Path(g.id.domid, g.d.own, domain.Port)
	if err != nil {
		g.trouble(vchanCarrier, err)
		return
	}
	offers := newChanges(ctx, g.d.cfg.Store, path)
	defer offers.close()
	connects := rate.NewLimiter(connectRate, connectBurst)
	retry := wait.Backoff{First: firstRetry, Last: lastRetry}
	var again <-chan time.Time
	bad := 0
	for {
		select {
		case <-offers.C:
		case <-again:
		case <-ctx.Done():
			return
		}
		again = nil
		offer, found, err := g.lookup(ctx, path)
		if !found && err == nil {
			continue // nothing, or half an offer: such a guest holds up nobody
		}
		if connects.Wait(ctx) != nil {
			return
		}
		var conn *vchan.Conn
		if err == nil {
			conn, err = g.connect(ctx, path, offer)
		}
		if err != nil {
			if ctx.Err() == nil {
				g.trouble(vchanCarrier, err)
				pause := retry.Next()
				again = time.After(pause)
				if bad++; bad > maxBad { // a guest that offers nothing but junk is not looked at each time
					wait.For(ctx, pause)
				}
			}
			continue
		}
		bad = 0
		retry.Reset()
		g.connected(vchanCarrier, true)
		g.giveWhileOffered(ctx, path, offer, offers.C, conn)
		g.connected(vchanCarrier, false)
		now := make(chan time.Time)
		close(now)
		again = now // what came meanwhile
	}
}

// errReplaced ends a channel whose guest offers another one: a process that was
// killed with its whole kernel, by kexec for instance, says nothing else.
var errReplaced = errors.New("the guest offers a new channel")

// giveWhileOffered hands a channel to the host and returns when it is closed,
// or when the offer that it was made of is replaced.
func (g *guest) giveWhileOffered(ctx context.Context, path string, offer xen.Published,
	changes <-chan struct{}, conn *vchan.Conn,
) {
	one, replaced := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-changes:
				if now, found, _ := g.lookup(one, path); found && now != offer {
					replaced(errReplaced)
					return
				}
			case <-one.Done():
				return
			}
		}
	})
	g.d.give(one, conn, g.peer(vchanCarrier))
	replaced(nil)
	wg.Wait()
}

func (g *guest) lookup(ctx context.Context, path string) (xen.Published, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	return xen.Lookup(ctx, g.d.cfg.Store, path)
}

func (g *guest) connect(ctx context.Context, path string, offer xen.Published) (*vchan.Conn, error) {
	free, err := g.d.slot(ctx)
	if err != nil {
		return nil, err
	}
	defer free()
	return xen.ConnectTo(g.id.domid, path, offer, xen.ConnectOptions{MaxOrder: maxOrder, System: g.d.cfg.System})
}
