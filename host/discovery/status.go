package discovery

import (
	"cmp"
	"slices"
	"time"

	"github.com/xentropyd/xentropyd/host"
)

// DomainState is how we stand with a domain.
type DomainState string

// The states.
const (
	StateNew    DomainState = "new"    // its name is not read yet
	StateDenied DomainState = "denied" // the lists do not allow it
	StateServed DomainState = "served" // it is announced to, and its carriers are looked after
)

// CarrierStatus is what happened on one carrier of a domain.
type CarrierStatus struct {
	Carrier     string   `json:"carrier"`
	Connected   bool     `json:"connected"` // a channel is with the host
	Connects    uint64   `json:"connects"`
	Failures    uint64   `json:"failures"` // offers and consoles that could not be connected
	LastError   string   `json:"last_error,omitempty"`
	LastFailure host.Age `json:"last_failure_age_seconds,omitzero"`
	CPU         float64  `json:"cpu_seconds"` // of looking, connecting and taking events; what a session uses is host.GuestStatus's
}

// tally counts what happened on one carrier.
type tally struct {
	CarrierStatus
	failed time.Time // last, or zero
}

// Domain is one domain that is alive.
type Domain struct {
	DomID    uint16          `json:"domid"`
	UUID     string          `json:"uuid,omitempty"`
	ID       string          `json:"id"` // host.Peer's
	Name     string          `json:"name"`
	State    DomainState     `json:"state"`
	Carriers []CarrierStatus `json:"carriers"`
}

// Domains says who is there, ordered by number.
func (d *Discovery) Domains() []Domain {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := make([]Domain, 0, len(d.guests))
	for _, g := range d.guests {
		all = append(all, g.status())
	}
	slices.SortFunc(all, func(a, b Domain) int { return cmp.Compare(a.DomID, b.DomID) })
	return all
}

func (g *guest) status() Domain {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := Domain{DomID: g.id.domid, UUID: g.id.uuid, ID: g.id.id(), Name: g.id.name, State: g.state, Carriers: []CarrierStatus{}}
	for name, t := range g.tally {
		c := t.CarrierStatus
		if !t.failed.IsZero() {
			c.LastFailure = host.AgeOf(time.Since(t.failed))
		}
		used := g.cpu[name].Total()
		if name == consoleCarrier && g.link != nil {
			used += g.link.CPU()
		}
		c.CPU = used.Seconds()
		s.Carriers = append(s.Carriers, c)
	}
	slices.SortFunc(s.Carriers, func(a, b CarrierStatus) int { return cmp.Compare(a.Carrier, b.Carrier) })
	return s
}
