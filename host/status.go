package host

import (
	"cmp"
	"encoding/hex"
	"slices"
	"time"

	"github.com/xentropyd/xentropyd/internal/age"
)

// GuestStatus is what is known of one guest, connected or recently gone. No
// field holds anything secret.
type GuestStatus struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	Label     string `json:"label,omitempty"` // what the guest calls itself; not to be relied on
	Carrier   string `json:"carrier"`
	Protocol  int    `json:"protocol"` // 0: no handshake yet
	Connected bool   `json:"connected"`
	// it acknowledged a seed of the current generation, or got one by protocol
	// 1, which has no acknowledgement
	Seeded             bool   `json:"seeded"`
	Seeds              uint64 `json:"seeds"` // sent
	Bytes              uint64 `json:"bytes"` // sent
	CreditedBits       uint64 `json:"credited_bits"`
	Acknowledged       uint64 `json:"acknowledged"`         // seeds that reached the guest's own generator
	KernelAcknowledged uint64 `json:"kernel_acknowledged"`  // seeds that reached the guest's kernel
	KernelCreditedBits uint64 `json:"kernel_credited_bits"` // as the guest reports
	KernelGeneration   uint64 `json:"kernel_generation"`    // newest of which the guest's kernel has a seed
	Generation         uint64 `json:"generation"`           // newest that it acknowledged in full
	CurrentGeneration  uint64 `json:"current_generation"`   // the one that it should be in
	Failures           uint64 `json:"failures"`             // outcomes that the guest reported as failed
	LastFailure        string `json:"last_failure,omitempty"`
	Refused            uint64 `json:"refused"`
	Reconnects         uint64 `json:"reconnects"`
	Frames             uint64 `json:"frames"` // received
	// times it was made to wait, for sending too fast or for its CPU time
	Slowed        uint64  `json:"slowed"`
	Violations    uint64  `json:"violations"`  // sessions ended for breaking the rules
	CPU           float64 `json:"cpu_seconds"` // that its sessions have used
	BudgetBytes   int     `json:"budget_bytes"`
	BudgetPeriod  float64 `json:"budget_period_seconds"`
	BudgetLeft    int     `json:"budget_left"`
	LastSeed      Age     `json:"last_seed_age_seconds,omitzero"`
	LastAck       Age     `json:"last_ack_age_seconds,omitzero"`
	LastKernelAck Age     `json:"last_kernel_ack_age_seconds,omitzero"`
	LastError     string  `json:"last_error,omitempty"`
}

// Status is a snapshot of a server.
type Status struct {
	Instance   string        `json:"instance"`   // random, new at each start
	Generation uint64        `json:"generation"` // the last number given out
	Uptime     Age           `json:"uptime_seconds"`
	Sessions   int           `json:"sessions"`
	TurnedAway uint64        `json:"turned_away"` // sessions over a limit
	Guests     []GuestStatus `json:"guests"`      // ordered by ID
}

// Status returns a snapshot.
func (s *Server) Status() Status {
	now := time.Now()
	s.mu.Lock()
	n, away := len(s.sessions), s.turnedAway
	s.mu.Unlock()
	return Status{
		Instance:   hex.EncodeToString(s.instance[:]),
		Generation: s.guests.last(),
		Uptime:     age.At(now, s.started),
		Sessions:   n,
		TurnedAway: away,
		Guests:     s.guests.status(now),
	}
}

func (g *guests) last() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.generations
}

func (g *guests) status(now time.Time) []GuestStatus {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := make([]GuestStatus, 0, len(g.records))
	for _, r := range g.records {
		all = append(all, GuestStatus{
			ID: r.peer.ID, Name: r.peer.Name, Label: r.label, Carrier: r.peer.Carrier, Protocol: r.protocol,
			Connected: r.sessions > 0, Seeded: r.seededGen > 0 && r.seededGen == r.generation.Load() ||
				r.protocol == 1 && r.bytes > 0,
			Seeds: r.seeds, Bytes: r.bytes, CreditedBits: r.credited,
			Acknowledged: r.acked, KernelAcknowledged: r.kernelOK, KernelCreditedBits: r.kernelBits,
			KernelGeneration: r.kernelGen,
			Generation:       r.ackedGen, CurrentGeneration: r.generation.Load(), Failures: r.failed,
			LastFailure: r.lastFail, Refused: r.refused,
			Reconnects: r.connects - 1, Frames: r.frames, Slowed: r.slowed, Violations: r.broken,
			CPU:         r.cpu.Total().Seconds(),
			BudgetBytes: r.budget.Bytes, BudgetPeriod: r.budget.Period.Seconds(), BudgetLeft: r.bucket.left(now),
			LastSeed: age.At(now, r.lastSeed), LastAck: age.At(now, r.lastAck),
			LastKernelAck: age.At(now, r.kernelAck), LastError: r.lastError,
		})
	}
	slices.SortFunc(all, func(a, b GuestStatus) int { return cmp.Compare(a.ID, b.ID) })
	return all
}
