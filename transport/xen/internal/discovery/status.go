package discovery

import (
	"cmp"
	"slices"
	"time"

	"github.com/xentropyd/xentropyd/internal/age"
	"github.com/xentropyd/xentropyd/transport"
)

// tally counts what happened on one carrier.
type tally struct {
	transport.CarrierStatus
	failed time.Time // last, or zero
}

// Domains says who is there, ordered by number.
func (d *Discovery) Domains() []transport.Domain {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := make([]transport.Domain, 0, len(d.guests))
	for _, g := range d.guests {
		all = append(all, g.status())
	}
	slices.SortFunc(all, func(a, b transport.Domain) int { return cmp.Compare(a.DomID, b.DomID) })
	return all
}

func (g *guest) status() transport.Domain {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := transport.Domain{
		DomID: g.id.domid, UUID: g.id.uuid, ID: g.id.id(), Name: g.id.name, State: g.state,
		Carriers: []transport.CarrierStatus{},
	}
	for _, t := range g.tally {
		c := t.CarrierStatus
		if !t.failed.IsZero() {
			c.LastFailure = age.Of(time.Since(t.failed))
		}
		s.Carriers = append(s.Carriers, c)
	}
	slices.SortFunc(s.Carriers, func(a, b transport.CarrierStatus) int { return cmp.Compare(a.Carrier, b.Carrier) })
	return s
}
