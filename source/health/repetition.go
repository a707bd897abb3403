package health

// RepetitionCount is the repetition count test of SP 800-90B, 4.4.1: it fails
// when one value comes cutoff times in a row.
type RepetitionCount struct {
	cutoff int
	run    int // 0 before the first sample
	last   uint64
}

// NewRepetitionCount makes the test for h bits of min-entropy per sample.
func NewRepetitionCount(h, alpha float64) (*RepetitionCount, error) {
	c, err := RepetitionCutoff(h, alpha)
	if err != nil {
		return nil, err
	}
	return &RepetitionCount{cutoff: c}, nil
}

// Cutoff returns the length of run at which the test fails.
func (t *RepetitionCount) Cutoff() int { return t.cutoff }

// Add takes the next sample; its error is a *Failure.
func (t *RepetitionCount) Add(x uint64) error {
	if t.add(x) {
		return t.failure()
	}
	return nil
}

// Reset forgets all samples.
func (t *RepetitionCount) Reset() { t.run, t.last = 0, 0 }

func (t *RepetitionCount) add(x uint64) bool {
	if x != t.last {
		t.last, t.run = x, 1
		return false
	}
	t.run++
	return t.run >= t.cutoff
}

func (t *RepetitionCount) failure() *Failure {
	return &Failure{Test: Repetition, Count: t.run, Cutoff: t.cutoff}
}
