package discovery

import (
	"context"
	"time"

	"golang.org/x/time/rate"

	"github.com/xentropyd/xentropyd/internal/cputime"
	"github.com/xentropyd/xentropyd/vchan"
	"github.com/xentropyd/xentropyd/vchan/xen"
	"github.com/xentropyd/xentropyd/xenstore"
)

// serveVChan connects to each offer of the guest, one at a time.
func (g *guest) serveVChan(ctx context.Context) {
	meter := g.meter(vchanCarrier)
	meter.Begin()
	defer meter.End()
	path, err := xen.Path(g.id.domid, g.d.own, Port)
	if err != nil {
		g.trouble(vchanCarrier, err)
		return
	}
	offers := newLookout(ctx, g.d.cfg.Store, path)
	defer offers.close()
	work := cputime.With(ctx, meter)
	pace := rate.NewLimiter(connectRate, connectBurst)
	retry := backoff{first: firstRetry, last: lastRetry}
	var again <-chan time.Time
	bad := 0
	for {
		meter.End()
		select {
		case <-offers.C:
		case <-again:
		case <-ctx.Done():
			return
		}
		meter.Begin()
		again = nil
		if !g.offered(work, path) {
			continue
		}
		if wait(work, pace) != nil {
			return
		}
		conn, err := g.connect(work, path)
		if err != nil {
			if ctx.Err() == nil {
				g.trouble(vchanCarrier, err)
				again = time.After(retry.next())
				if bad++; bad > maxBad { // a guest that offers nothing but junk is not looked at each time
					_ = sleep(work, retry.now)
				}
			}
			continue
		}
		bad = 0
		retry.reset()
		g.connected(vchanCarrier, true)
		g.d.give(work, blaming{conn}, g.peer(vchanCarrier))
		g.connected(vchanCarrier, false)
	}
}

// offered says whether there is anything to connect to, so that a guest without an offer, or with half of one, holds up nobody.
func (g *guest) offered(ctx context.Context, path string) bool {
	for _, name := range []string{"ring-ref", "event-channel"} {
		if _, err := g.d.cfg.Store.Read(ctx, xenstore.Join(path, name)); err != nil {
			return false
		}
	}
	return true
}

func (g *guest) connect(ctx context.Context, path string) (*vchan.Conn, error) {
	free, err := g.d.slot(ctx)
	if err != nil {
		return nil, err
	}
	defer free()
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	return xen.Connect(ctx, g.d.cfg.Store, g.id.domid, path, xen.ConnectOptions{MaxOrder: g.d.cfg.MaxOrder, System: g.d.cfg.System})
}
