package health

// DeltaRepetition is the repetition count test over first differences: it fails
// when x[i]-x[i-1] is the same cutoff times in a row. It sees a linear ramp,
// in which no value repeats. "The same step again" is one guess of the next
// sample, so the cutoff is the repetition count's. Differences are taken
// modulo 2^symbolBits. A difference of zero is the repetition count's own
// business and ends a run here.
type DeltaRepetition struct {
	cutoff int
	run    int
	mask   uint64
	last   uint64
	step   uint64
	primed bool
}

// NewDeltaRepetition makes the test for symbols of so many bits with h bits of
// min-entropy each.
func NewDeltaRepetition(symbolBits int, h, alpha float64) (*DeltaRepetition, error) {
	c, err := RepetitionCutoff(h, alpha)
	if err != nil {
		return nil, err
	}
	mask, err := symbolMask(symbolBits)
	if err != nil {
		return nil, err
	}
	return &DeltaRepetition{cutoff: c, mask: mask}, nil
}

// Cutoff returns the number of equal differences at which the test fails.
func (t *DeltaRepetition) Cutoff() int { return t.cutoff }

// Add takes the next sample; its error is a *Failure.
func (t *DeltaRepetition) Add(x uint64) error {
	if t.add(x) {
		return t.failure()
	}
	return nil
}

// Reset forgets all samples.
func (t *DeltaRepetition) Reset() { t.run, t.last, t.step, t.primed = 0, 0, 0, false }

func (t *DeltaRepetition) add(x uint64) bool {
	step := (x - t.last) & t.mask
	t.last = x
	if step != t.step || step == 0 {
		t.start(step)
		return false
	}
	t.run++
	return t.run >= t.cutoff
}

// start begins a run with this step; before the first sample there is none.
func (t *DeltaRepetition) start(step uint64) {
	if !t.primed {
		t.primed, t.step = true, 0
		return
	}
	t.step, t.run = step, 1
}

func (t *DeltaRepetition) failure() *Failure {
	return &Failure{Test: Delta, Count: t.run, Cutoff: t.cutoff}
}
