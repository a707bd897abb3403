// Package source harvests noise: it finds the noise sources of a machine, tests
// their raw samples on line, and hands what passed to whoever mixes it.
//
// [Probe] tells which sources exist here and why the others do not, and
// [NewHarvester] runs sources for a consumer, which takes the samples in a
// callback:
//
//	h := source.NewHarvester(sources, func(b source.Batch) { pool.Add(b.Info.ID, b.Data) })
//	h.Demand(source.SeedBits)
//	err := h.Run(ctx)
//
// Samples are raw: nothing in this package conditions, filters or rescales
// them, so that the health tests (package source/health) and an assessment off
// line see what the source really gives. Conditioning is the consumer's work.
//
// The package needs no file and no network and runs wherever Go does. Sources
// that are devices live in packages below it: source/hwrng and source/tpm.
package source

import (
	"context"
	"errors"
	"fmt"
)

// Info says what a source is and what it claims.
type Info struct {
	// ID is the stable number of the source, for an accumulator that wants
	// one byte (Fortuna's event source); see the ID constants.
	ID uint8
	// Name is short and stable: "rdrand", "jitter".
	Name string
	// Description is one line for people.
	Description string
	// SampleBytes is the size of one raw sample, 1 to 8 bytes, which is a
	// little-endian symbol to the health tests.
	SampleBytes int
	// MinEntropy is the declared min-entropy in bits per sample, given all
	// samples before it. The cutoffs of the health tests are computed from
	// it, also for a source that is not credited.
	MinEntropy float64
	// Credited says whether the assessed entropy counts towards seeding. A
	// source that somebody else can steer is mixed in without credit.
	Credited bool
}

// A Source gives raw samples. Sample is called by one goroutine at a time;
// Close may come while it blocks, and then makes it return if it can.
type Source interface {
	// Info never blocks. Only the description may change, when a call of
	// Sample returned.
	Info() Info
	// Sample writes whole samples to dst and returns their bytes. It may
	// give fewer than fit, and rather does than to take seconds; it gives 0
	// with a nil error when there is nothing now, and an error that is
	// [ErrAbsent] when what it reads is not here or cannot be opened. The
	// next call looks again. It honours ctx. With an error the bytes written
	// are not to be used.
	Sample(ctx context.Context, dst []byte) (int, error)
	Close() error
}

// Errors that a Source returns, wrapped.
var (
	ErrAbsent    = errors.New("source is not present")
	ErrExhausted = errors.New("source gave no data")
	ErrClosed    = errors.New("source is closed")
)

// NotPresent makes the error of a source that is not here, an [ErrAbsent]. The
// hint says what to do about it.
func NotPresent(name, why, hint string) error {
	return fmt.Errorf("%s: %w: %s (%s)", name, ErrAbsent, why, hint)
}
