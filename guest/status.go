package guest

import (
	"time"

	"github.com/xentropyd/xentropyd/source"
)

// Status is a snapshot of a Guest. No field holds anything secret.
type Status struct {
	Seeded    bool         `json:"seeded"`     // Read gives bytes
	BytesRead uint64       `json:"bytes_read"` // by all calls of Read
	Host      HostStatus   `json:"host"`
	Own       OwnStatus    `json:"own"`
	Kernel    KernelStatus `json:"kernel"`
}

// HostStatus is how it stands with the host. Counts are since Open, over all
// connections.
type HostStatus struct {
	Connected  bool   `json:"connected"` // the host has welcomed the guest
	Protocol   int    `json:"protocol"`  // 1 or 2; 0: none yet
	Instance   string `json:"instance,omitempty"`
	Generation uint64 `json:"generation"` // the host's number

	// Degraded: by its last welcome, seed or refusal the host has no healthy
	// noise source left. Protocol 1 does not say.
	Degraded bool `json:"degraded"`

	Seeds        uint64 `json:"seeds"`         // taken; 0: the own sources served alone so far
	SeedBytes    uint64 `json:"seed_bytes"`    // in them
	CreditedBits uint64 `json:"credited_bits"` // that the host vouched for
	Acknowledged uint64 `json:"acknowledged"`  // seeds; protocol 1 has no such thing
	Generations  uint64 `json:"generations"`   // changes of Generation seen
	Reconnects   uint64 `json:"reconnects"`    // welcomes after the first
	Refused      uint64 `json:"refused"`       // seeds that the host refused

	// LastSeedAge is how long ago the last seed came, in seconds by the
	// monotonic clock; nil: none came.
	LastSeedAge *float64 `json:"last_seed_age_seconds,omitempty"`

	LastError string `json:"last_error,omitempty"` // why it was last lost or not reached; empty while it is here
}

// OwnStatus is how it stands with the guest's own noise sources.
type OwnStatus struct {
	Bits    float64         `json:"bits"`    // assessed min-entropy that they gave
	Sources []source.Status `json:"sources"` // empty until they were started
}

// KernelStatus is how it stands with Options.Kernel. Counts are since Open.
type KernelStatus struct {
	Fed          bool   `json:"fed"`           // the last time; false: never yet, or it failed
	Seeds        uint64 `json:"seeds"`         // that it took
	CreditedBits uint64 `json:"credited_bits"` // for them
	Failures     uint64 `json:"failures"`
	LastFailure  string `json:"last_failure,omitempty"` // its error
}

// Status returns a snapshot.
func (g *Guest) Status() Status {
	g.mu.Lock()
	s := g.state
	if !g.lastSeed.IsZero() {
		age := time.Since(g.lastSeed).Seconds()
		s.Host.LastSeedAge = &age
	}
	g.mu.Unlock()
	s.BytesRead = g.bytes.Load()
	s.Own = OwnStatus{Bits: g.noise.Bits(), Sources: g.own()}
	return s
}

// update changes the state and tells who wants to know.
func (g *Guest) update(f func(*Status)) {
	g.mu.Lock()
	f(&g.state)
	g.mu.Unlock()
	if g.opts.Notify != nil {
		g.opts.Notify(g.Status())
	}
}
