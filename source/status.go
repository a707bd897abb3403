package source

import "maps"

// State is where a source stands.
//
//	            start-up test passed
//	starting --------------------------> healthy
//	  ^ ^ |                               |  |
//	  | | | test failed, no answer,       |  |
//	  | | v read error                    |  |
//	  | quarantined <---------------------+  |
//	  | back-off over                        |
//	  |                                      |
//	  | answered                             | not here
//	absent <---------------------------------+
//	  looked for again and again
//
// A source begins as starting, and whenever it is not here, in whatever state,
// it becomes absent. One whose declaration no health test can be made of is
// absent and stays so.
type State string

// The states.
const (
	StateStarting    State = "starting"
	StateHealthy     State = "healthy"
	StateQuarantined State = "quarantined"
	StateAbsent      State = "absent"
)

// Keys in Status.Failures beside the names of the health tests.
const (
	FailureRead = "read" // it could not be read, or gave no answer
	FailureZero = "zero" // a word of zeros, see [WordError]
	FailureOnes = "ones" // a word of ones, see [WordError]
)

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
	// Failures counts by the name of the health test, or FailureRead and its
	// like.
	Failures map[string]uint64 `json:"failures"`
	// LastError is why the source is quarantined or absent, or was when it
	// last was.
	LastError string `json:"last_error,omitempty"`
	// RetryIn is how many seconds from now one that is quarantined or absent
	// is tried again; 0 if that is going on, or waits for the source itself.
	RetryIn float64 `json:"retry_in_seconds,omitzero"`
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
