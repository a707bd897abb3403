package health

import (
	"fmt"
	"math"
)

// WindowFor returns the window of the proportion test for symbols of so many
// bits: SP 800-90B, 4.4.2.
func WindowFor(symbolBits int) int {
	if symbolBits == 1 {
		return WindowBinary
	}
	return Window
}

// RepetitionCutoff is C = 1 + ceil(-log2(alpha)/h) of SP 800-90B, 4.4.1, for h
// bits of min-entropy per sample. It is at least 2.
func RepetitionCutoff(h, alpha float64) (int, error) {
	if err := checkBound(h, alpha); err != nil {
		return 0, err
	}
	c := math.Ceil(-math.Log2(alpha) / h)
	if c > math.MaxInt32-1 {
		return 0, fmt.Errorf("%w: the repetition cutoff for %v bits per sample is over 2^31 samples", ErrDeclaration, h)
	}
	return 1 + max(int(c), 1), nil
}

// ProportionCutoff is C = 1 + critbinom(window, 2^-h, 1-alpha) of SP 800-90B,
// 4.4.2, and at least 2, because the first sample of a window always matches
// itself. A cutoff beyond the window could never be reached: that is an error.
//
// The standard counts the first sample of the window as if it were drawn like
// the others, although it is the value looked for. For h above some 16 bits
// this makes the test ring more often than alpha for a source that has exactly
// h; a source that has twice as much, as declared here, does not notice.
func ProportionCutoff(window int, h, alpha float64) (int, error) {
	c, err := windowCutoff("proportion", window, h, alpha)
	if err != nil {
		return 0, err
	}
	return max(c, 2), nil
}

// LagCutoff is the cutoff of the lag test for one of so many lags: the smallest
// C with P(matches >= C) <= alpha/lags, where each of window comparisons
// matches with probability at most 2^-h. The union bound over the lags makes
// it alpha for all of them. A cutoff beyond the window is an error.
func LagCutoff(window, lags int, h, alpha float64) (int, error) {
	if lags < 1 {
		return 0, fmt.Errorf("%w: a lag test needs at least one lag, not %d", ErrDeclaration, lags)
	}
	return windowCutoff("lag", window, h, alpha/float64(lags))
}

func windowCutoff(test string, window int, h, alpha float64) (int, error) {
	if err := checkBound(h, alpha); err != nil {
		return 0, err
	}
	if window < 2 || window > 1<<20 {
		return 0, fmt.Errorf("%w: a window of %d samples is not in [2, 2^20]", ErrDeclaration, window)
	}
	c := 1 + critBinom(window, math.Exp2(-h), alpha)
	if c > window {
		return 0, fmt.Errorf("%w: the %s test could never fail with %v bits per sample (declare at least %.4f)",
			ErrDeclaration, test, h, -math.Log2(alpha)/float64(window))
	}
	return c, nil
}

// critBinom is the smallest k with P(X <= k) >= 1-alpha for X binomial (n, p):
// the function that SP 800-90B takes from spreadsheets. It adds the upper tail
// from its small end, in logarithms, so that an alpha of 2^-60 is still exact.
func critBinom(n int, p, alpha float64) int {
	lp, lq := math.Log(p), math.Log1p(-p)
	ln, _ := math.Lgamma(float64(n + 1))
	tail := 0.0
	for k := n; k > 0; k-- {
		a, _ := math.Lgamma(float64(k + 1))
		b, _ := math.Lgamma(float64(n - k + 1))
		term := ln - a - b + float64(k)*lp
		if k < n {
			term += float64(n-k) * lq
		}
		tail += math.Exp(term)
		if tail > alpha {
			return k
		}
	}
	return 0
}
