package source

import (
	"maps"
	"time"
)

// State is where a source stands.
//
//	            start-up test passed
//	starting --------------------------> healthy
//	   ^  |                                 |
//	   |  | test failed, read error         | test failed, read error
//	   |  v                                 v
//	   +--------------- quarantined <-------+
//	    back-off over
//
// A source that was not found, or that declares what no health test can be
// made of, is absent and stays so.
type State string

// The states.
const (
	StateStarting    State = "starting"
	StateHealthy     State = "healthy"
	StateQuarantined State = "quarantined"
	StateAbsent      State = "absent"
)

// FailureRead is the key in Status.Failures of a source that could not be read;
// the other keys are the names of the health tests.
const FailureRead = "read"

// Status is one source's state and counters. Nothing in it tells of a sample's
// value.
type Status struct {
	ID          uint8   `json:"id"`
	Name        string  `json:"name"`
	Description string  `json:"description"`
	State       State   `json:"state"`
	Healthy     bool    `json:"healthy"`
	Credited    bool    `json:"credited"`
	SampleBytes int     `json:"sample_bytes"`
	Declared    float64 `json:"min_entropy_per_sample"` // bits
	// Samples passed the tests and were delivered.
	Samples uint64 `json:"samples"`
	// MinEntropyBits is the assessed min-entropy delivered: 0 if not credited.
	MinEntropyBits float64 `json:"min_entropy_bits"`
	// BytesPerSecond is how fast the source gives raw bytes while it is read,
	// not how much is asked of it.
	BytesPerSecond float64 `json:"bytes_per_second"`
	// Failures counts by the name of the health test, or FailureRead.
	Failures  map[string]uint64 `json:"failures"`
	LastError string            `json:"last_error,omitempty"`
	NextRetry time.Time         `json:"next_retry,omitzero"` // when quarantined
}

func newStatus(info Info) Status {
	return Status{
		ID: info.ID, Name: info.Name, Description: info.Description, State: StateStarting,
		Credited: info.Credited, SampleBytes: info.SampleBytes, Declared: info.MinEntropy,
		Failures: map[string]uint64{},
	}
}

// copy returns a Status that shares nothing with s.
func (s Status) copy() Status {
	s.Failures = maps.Clone(s.Failures)
	return s
}
