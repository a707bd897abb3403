package health

// Lags is how many distances the lag test looks at: 1 to Lags. Sixteen finds
// the patterns that stuck shift registers, double-buffered reads and repeated
// words of a cache line make, and costs a few nanoseconds per sample.
const Lags = 16

// LagCount fails when x[i] equals x[i-d], for one d of 1 to [Lags], cutoff
// times within a window. It sees a repeating pattern of several values, each of
// which comes too seldom for the proportion test. "The value of d samples ago"
// is one guess of the next sample for each d, and [LagCutoff] shares alpha
// among the distances. The first samples after Reset only fill the history.
type LagCount struct {
	window, cutoff int
	pos            int // samples compared in this window
	fill           int // samples in the history, up to Lags
	at             int // where the next sample goes
	worst          int // the lag that failed
	count          [Lags]int32
	// Each sample is written twice, Lags apart, so that the last Lags
	// samples always lie side by side.
	hist [2 * Lags]uint64
}

// NewLagCount makes the test for h bits of min-entropy per sample.
func NewLagCount(window int, h, alpha float64) (*LagCount, error) {
	c, err := LagCutoff(window, Lags, h, alpha)
	if err != nil {
		return nil, err
	}
	return &LagCount{window: window, cutoff: c}, nil
}

// Cutoff returns the number of matches at which the test fails.
func (t *LagCount) Cutoff() int { return t.cutoff }

// Add takes the next sample; its error is a *Failure.
func (t *LagCount) Add(x uint64) error {
	if t.add(x) {
		return t.failure()
	}
	return nil
}

// Reset forgets all samples.
func (t *LagCount) Reset() { *t = LagCount{window: t.window, cutoff: t.cutoff} }

func (t *LagCount) add(x uint64) bool {
	failed := false
	if t.fill == Lags {
		// past[Lags-1] is the sample before this one.
		past := (*[Lags]uint64)(t.hist[t.at : t.at+Lags])
		// Written out, because in wide samples hardly ever one matches and
		// this is most of what all tests cost.
		if x == past[0] || x == past[1] || x == past[2] || x == past[3] ||
			x == past[4] || x == past[5] || x == past[6] || x == past[7] ||
			x == past[8] || x == past[9] || x == past[10] || x == past[11] ||
			x == past[12] || x == past[13] || x == past[14] || x == past[15] {
			failed = t.matches(x, past)
		}
		t.pos++
		if t.pos == t.window && !failed {
			t.pos, t.count = 0, [Lags]int32{}
		}
	} else {
		t.fill++
	}
	t.hist[t.at], t.hist[t.at+Lags] = x, x
	t.at = (t.at + 1) % Lags
	return failed
}

// matches counts for each distance at which x is found, and keeps the shortest
// one that failed.
func (t *LagCount) matches(x uint64, past *[Lags]uint64) (failed bool) {
	for i, y := range past {
		if x != y {
			continue
		}
		d := Lags - i
		t.count[d-1]++
		if int(t.count[d-1]) >= t.cutoff {
			t.worst, failed = d, true
		}
	}
	return failed
}

func (t *LagCount) failure() *Failure {
	return &Failure{Test: Lag, Count: int(t.count[t.worst-1]), Cutoff: t.cutoff, Window: t.window, Lag: t.worst}
}
