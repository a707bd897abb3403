package control

import (
	"time"

	"github.com/xentropyd/xentropyd/host"
	"github.com/xentropyd/xentropyd/source"
	"github.com/xentropyd/xentropyd/transport"
)

// Status is the answer to GET /v1/status.
type Status struct {
	Version string   `json:"version"`
	PID     int      `json:"pid"`
	Uptime  host.Age `json:"uptime_seconds"`
	// of this answer by the machine's clock, for who compares it with a log; no
	// age comes from it
	Time    time.Time          `json:"time"`
	Listen  []string           `json:"listen"` // channel addresses
	Entropy host.EntropyStatus `json:"entropy"`
	Server  host.Status        `json:"server"`

	// Domains are all of this Xen host but our own, also those that are not
	// served; nil without Xen.
	Domains []transport.Domain `json:"domains,omitzero"`
}

// Sources is the answer to GET /v1/sources.
type Sources struct {
	Sources   []source.Status `json:"sources"` // also those that are absent or switched off
	SpentBits uint64          `json:"spent_bits"`
}

// Generation is the answer to POST /v1/generation.
type Generation struct {
	Generation uint64 `json:"generation"`
	Sessions   int    `json:"sessions"` // open now
}

// errorAnswer is the body of every answer that is not a success.
type errorAnswer struct {
	Error string `json:"error"`
}
