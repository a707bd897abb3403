package transport

import "github.com/xentropyd/xentropyd/internal/age"

// Finder is a Listener that looks for its guests by itself.
type Finder interface {
	Listener

	// Domains says who is there, served or not, ordered by number. It is nil
	// until the first look.
	Domains() []Domain
}

// Domain is a machine beside this one that is alive.
type Domain struct {
	DomID    uint16          `json:"domid"`
	UUID     string          `json:"uuid,omitempty"`
	ID       string          `json:"id"` // Peer's
	Name     string          `json:"name"`
	State    DomainState     `json:"state"`
	Carriers []CarrierStatus `json:"carriers"`
}

// DomainState is how the host stands with a domain.
type DomainState string

// The states.
const (
	DomainNew    DomainState = "new"    // its name is not read yet
	DomainDenied DomainState = "denied" // the configuration does not allow it
	DomainServed DomainState = "served" // it is looked after
)

// Announcement stands in CarrierStatus.Carrier for what is no carrier, but may
// fail like one: telling a domain that the host is here.
const Announcement = "announcement"

// CarrierStatus is what happened on one carrier of a domain.
type CarrierStatus struct {
	Carrier     string  `json:"carrier"`
	Connected   bool    `json:"connected"` // a channel is with the host
	Connects    uint64  `json:"connects"`
	Failures    uint64  `json:"failures"` // what could not be connected
	LastError   string  `json:"last_error,omitempty"`
	LastFailure age.Age `json:"last_failure_age_seconds,omitzero"`
}
