package guest

import (
	"time"

	"github.com/xentropyd/xentropyd/source"
)

// Status is a snapshot of a Guest. No field holds anything secret.
type Status struct {
	Seeded     bool   `json:"seeded"`
	HostSeeded bool   `json:"host_seeded"` // false: the guest's own sources served alone so far
	Connected  bool   `json:"connected"`   // the host has welcomed the guest
	Protocol   int    `json:"protocol"`
	Instance   string `json:"instance,omitempty"` // the host's, as hexadecimal digits
	Generation uint64 `json:"generation"`
	Degraded   bool   `json:"degraded"` // by its last welcome, seed or refusal the host has no healthy noise source; false with protocol 1, which does not say

	Seeds        uint64 `json:"seeds"`      // taken from hosts
	SeedBytes    uint64 `json:"seed_bytes"` // bytes in them
	CreditedBits uint64 `json:"credited_bits"`
	Acknowledged uint64 `json:"acknowledged"` // acknowledgements sent
	Generations  uint64 `json:"generations"`  // changes seen
	Reconnects   uint64 `json:"reconnects"`   // welcomes after the first
	Refused      uint64 `json:"refused"`

	Kernel             bool   `json:"kernel"` // the kernel's RNG is fed
	KernelSeeds        uint64 `json:"kernel_seeds"`
	KernelCreditedBits uint64 `json:"kernel_credited_bits"`
	KernelFailures     uint64 `json:"kernel_failures"`
	LastFailure        string `json:"last_failure,omitempty"`

	BytesRead   uint64          `json:"bytes_read"`
	OwnBits     float64         `json:"own_bits"` // assessed min-entropy of the guest's own sources
	OwnSources  []source.Status `json:"own_sources"`
	LastSeedAge *float64        `json:"last_seed_age_seconds,omitempty"` // age of the host's last seed by the monotonic clock, nil for none
	LastError   string          `json:"last_error,omitempty"`            // why the host was last lost or not reached
}

// Status returns a snapshot.
func (g *Guest) Status() Status {
	g.mu.Lock()
	s := g.state
	if !g.lastSeed.IsZero() {
		age := time.Since(g.lastSeed).Seconds()
		s.LastSeedAge = &age
	}
	g.mu.Unlock()
	s.Kernel = g.cfg.kernel != nil
	s.BytesRead = g.bytes.Load()
	s.OwnBits = g.pool.Bits()
	s.OwnSources = g.own()
	return s
}

// update changes the state and tells who wants to know.
func (g *Guest) update(f func(*Status)) {
	g.mu.Lock()
	f(&g.state)
	g.mu.Unlock()
	if g.cfg.notify != nil {
		g.cfg.notify(g.Status())
	}
}
