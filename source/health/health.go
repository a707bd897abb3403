// Package health runs the on-line health tests of NIST SP 800-90B, section 4,
// over the raw samples of one noise source.
//
// [New] builds the [Monitor] of a source from what the source declares, and
// [Monitor.Check] feeds it samples. The first error means that the source is
// not to be used; a Monitor stays failed until [Monitor.Reset], after which
// the source has to pass the start-up test again.
//
// Four tests look at every sample: the two that the standard approves, and two
// developer-defined ones that section 4.5 allows. All four rest on one bound:
// with min-entropy of H bits given the past, any guess of the next sample is
// right with probability at most 2^-H.
//
//	repetition   4.4.1, one value many times in a row      a source stuck
//	proportion   4.4.2, one value too often in a window    a bias
//	lag          x[i] = x[i-d] too often in a window       a repeating pattern
//	delta        one difference many times in a row        a linear drift
//
// Nothing here allocates while samples pass, reads a clock or starts a
// goroutine. The types are not safe for concurrent use: each source has its
// own Monitor and one goroutine that feeds it.
package health

import (
	"errors"
	"fmt"
	"math"
)

// Constants of SP 800-90B.
const (
	StartupSamples = 1024 // 4.3, requirement 4: consecutive samples before any output
	WindowBinary   = 1024 // 4.4.2: window of the proportion test, binary samples
	Window         = 512  // 4.4.2: window for all other samples
	minAlpha       = 0x1p-1000
)

// DefaultAlpha is the false-alarm probability from which the cutoffs are
// computed: per sample for the tests of runs, per window for the others. SP
// 800-90B, 4.4.1, recommends 2^-20 to 2^-40. At a million samples a second
// 2^-30 would be an alarm every quarter of an hour, but only from a source that
// has no more entropy than it declares; one that has twice as much squares it.
const DefaultAlpha = 0x1p-30

// Test names one of the health tests.
type Test string

// The tests, in the order in which they look at a sample.
const (
	Repetition Test = "repetition"
	Proportion Test = "proportion"
	Delta      Test = "delta"
	Lag        Test = "lag"
)

// Tests lists all tests in that order.
func Tests() []Test { return []Test{Repetition, Proportion, Delta, Lag} }

// ErrDeclaration is wrapped by every error about a declared min-entropy, an
// alpha or a sample size from which no working test can be made.
var ErrDeclaration = errors.New("no health test can be made of this declaration")

// Failure is the error of a failed health test. It holds no sample.
type Failure struct {
	Test   Test
	Count  int // what the test counted
	Cutoff int // at which count it fails
	Window int // in how many samples; 0 for a run
	Lag    int // the distance compared, for Test == Lag
}

// Error says which test failed and by how much.
func (f *Failure) Error() string {
	s := fmt.Sprintf("health test %s failed: count %d reached the cutoff %d", f.Test, f.Count, f.Cutoff)
	if f.Window > 0 {
		s += fmt.Sprintf(" in a window of %d samples", f.Window)
	}
	if f.Lag > 0 {
		s += fmt.Sprintf(" at distance %d", f.Lag)
	}
	return s
}

func checkBound(h, alpha float64) error {
	if math.IsNaN(h) || h <= 0 || h > 64 {
		return fmt.Errorf("%w: min-entropy of %v bits per sample is not in (0, 64]", ErrDeclaration, h)
	}
	if math.IsNaN(alpha) || alpha < minAlpha || alpha >= 1 {
		return fmt.Errorf("%w: alpha of %v is not in [2^-1000, 1)", ErrDeclaration, alpha)
	}
	return nil
}
