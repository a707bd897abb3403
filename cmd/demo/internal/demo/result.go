package demo

import (
	"fmt"
	"time"

	"github.com/xentropyd/xentropyd/source"
)

// Result is what came of the play.
type Result struct {
	OK       bool     `json:"ok"`
	Problems []string `json:"problems,omitempty"` // what did not go as promised
	Seconds  float64  `json:"seconds"`            // that it all took

	Sources []SourceResult `json:"sources"`  // that gave noise
	NotUsed []NotUsed      `json:"not_used"` // and those that did not
	Guests  []GuestResult  `json:"guests"`

	SeededIn    float64 `json:"seeded_in_seconds"`     // from the daemon's start until it gave entropy
	GuestBackIn float64 `json:"guest_back_in_seconds"` // from the killed guest's start until it was seeded
	Outage      float64 `json:"outage_seconds"`        // for which there was no daemon
	ReadOn      bool    `json:"read_on"`               // all guests gave bytes during the outage
	Renewed     bool    `json:"renewed"`               // all guests followed to the new generation

	BlocksCompared int `json:"blocks_compared"` // 16-byte blocks that the guests read
	BlocksRepeated int `json:"blocks_repeated"`
}

// SourceResult is a noise source over all daemons of the play.
type SourceResult struct {
	Name           string  `json:"name"`
	Healthy        bool    `json:"healthy"`
	Credited       bool    `json:"credited"`
	Samples        uint64  `json:"samples"`
	MinEntropyBits float64 `json:"min_entropy_bits"`
}

// NotUsed is a source that gave nothing.
type NotUsed struct {
	Name string `json:"name"`
	Why  string `json:"why"`
}

// GuestResult is a guest over all its processes.
type GuestResult struct {
	Name         string  `json:"name"`
	Seeded       bool    `json:"seeded"`
	Seeds        uint64  `json:"seeds"`
	SeedBytes    uint64  `json:"seed_bytes"`
	Bytes        uint64  `json:"bytes"` // random bytes that it read
	Reconnects   uint64  `json:"reconnects"`
	Kills        int     `json:"kills"`
	ReadErrors   uint64  `json:"read_errors"`
	LongestPause float64 `json:"longest_pause_ms"` // between two reads
}

// conclude fills in what the stage knows and judges.
func (s *stage) conclude(r *Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.Seconds = seconds(time.Since(s.began))
	r.Sources, r.NotUsed, r.Guests = []SourceResult{}, []NotUsed{}, []GuestResult{}
	for _, src := range s.sources {
		switch {
		case src.State == source.StateAbsent:
			r.NotUsed = append(r.NotUsed, NotUsed{src.Name, src.LastError})
		case src.State == source.StateStarting && src.Samples == 0:
			r.NotUsed = append(r.NotUsed, NotUsed{src.Name, "has not given the 1,024 samples of its start-up test yet"})
		default:
			r.Sources = append(r.Sources,
				SourceResult{src.Name, src.Healthy, src.Credited, src.Samples, src.MinEntropyBits})
		}
	}
	for _, a := range s.guests {
		t := a.total()
		r.Guests = append(r.Guests, GuestResult{
			Name: a.name, Seeded: t.Seeded, Seeds: t.Seeds, SeedBytes: t.SeedBytes, Bytes: t.Bytes,
			Reconnects: t.Reconnects, Kills: a.kills, ReadErrors: t.Errors, LongestPause: 1000 * t.Pause.Seconds(),
		})
		if !t.Seeded {
			r.problem("%s was not seeded", a.name)
		}
		if t.Errors > 0 {
			r.problem("%s had %d reads that failed: %s", a.name, t.Errors, t.Trouble)
		}
	}
	r.BlocksCompared, r.BlocksRepeated = s.blocks.compared, s.blocks.repeated
	if !r.ReadOn {
		r.problem("a guest's reads stopped while there was no daemon")
	}
	if !r.Renewed {
		r.problem("a guest did not follow to the new generation")
	}
	if r.BlocksRepeated > 0 {
		r.problem("%d blocks of 16 bytes came more than once", r.BlocksRepeated)
	}
	r.OK = len(r.Problems) == 0
}

func (r *Result) problem(format string, args ...any) {
	r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
}
