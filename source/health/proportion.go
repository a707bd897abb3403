package health

// AdaptiveProportion is the adaptive proportion test of SP 800-90B, 4.4.2: the
// first sample of each window is the value to count, and the test fails when it
// has come cutoff times within the window.
type AdaptiveProportion struct {
	window, cutoff int
	pos, count     int
	first          uint64
}

// NewAdaptiveProportion makes the test for h bits of min-entropy per sample;
// [WindowFor] gives the window.
func NewAdaptiveProportion(window int, h, alpha float64) (*AdaptiveProportion, error) {
	c, err := ProportionCutoff(window, h, alpha)
	if err != nil {
		return nil, err
	}
	return &AdaptiveProportion{window: window, cutoff: c}, nil
}

// Cutoff returns the count at which the test fails.
func (t *AdaptiveProportion) Cutoff() int { return t.cutoff }

// Add takes the next sample; its error is a *Failure.
func (t *AdaptiveProportion) Add(x uint64) error {
	if t.add(x) {
		return t.failure()
	}
	return nil
}

// Reset forgets all samples.
func (t *AdaptiveProportion) Reset() { t.pos, t.count, t.first = 0, 0, 0 }

func (t *AdaptiveProportion) add(x uint64) bool {
	if t.pos == 0 {
		t.first, t.count = x, 0
	}
	t.pos++
	if t.pos == t.window {
		t.pos = 0
	}
	if x != t.first {
		return false
	}
	t.count++
	return t.count >= t.cutoff
}

func (t *AdaptiveProportion) failure() *Failure {
	return &Failure{Test: Proportion, Count: t.count, Cutoff: t.cutoff, Window: t.window}
}
