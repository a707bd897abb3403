package health

import (
	"fmt"
	"math"
	"math/big"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Cutoffs of SP 800-90B's formulas, from tables made with other software.
func TestRepetitionCutoffKnown(t *testing.T) {
	for _, c := range []struct {
		alpha float64
		h     []float64
		want  []int
	}{
		{0x1p-20, []float64{0.5, 1, 2, 4, 8}, []int{41, 21, 11, 6, 4}},
		{0x1p-30, []float64{0.5, 1, 2, 4, 8}, []int{61, 31, 16, 9, 5}},
	} {
		for i, h := range c.h {
			got, err := RepetitionCutoff(h, c.alpha)
			require.NoError(t, err)
			assert.Equal(t, c.want[i], got, "H=%v alpha=%v", h, c.alpha)
		}
	}
}

func TestProportionCutoffKnown(t *testing.T) {
	for _, c := range []struct {
		window int
		h      []float64
		want   []int
	}{
		{512, []float64{0.5, 1, 2, 4, 8}, []int{410, 311, 177, 62, 13}},
		{1024, []float64{0.2, 0.4, 0.6, 0.8, 1.0}, []int{941, 840, 748, 664, 589}},
	} {
		for i, h := range c.h {
			got, err := ProportionCutoff(c.window, h, 0x1p-20)
			require.NoError(t, err)
			assert.Equal(t, c.want[i], got, "W=%d H=%v", c.window, h)
		}
	}
}

// The upper tail is added again with 400-bit arithmetic: at the critical value
// it is within alpha, one below it is not.
func TestCritBinomExact(t *testing.T) {
	for _, n := range []int{2, 64, 512, 1024} {
		for _, p := range []float64{0x1p-24, 0x1p-8, 0.25, 0.5, 0.75, 0.9375} {
			for _, alpha := range []float64{0x1p-20, 0x1p-30, 0x1p-34, 0x1p-60} {
				k := critBinom(n, p, alpha)
				limit := big.NewFloat(alpha)
				assert.LessOrEqual(t, exactTail(n, k, p).Cmp(limit), 0, "P(X>%d), n=%d p=%v alpha=%v", k, n, p, alpha)
				if k > 0 {
					assert.Positive(t, exactTail(n, k-1, p).Cmp(limit), "P(X>%d), n=%d p=%v alpha=%v", k-1, n, p, alpha)
				}
			}
		}
	}
}

// exactTail is P(X > k) for X binomial (n, p).
func exactTail(n, k int, p float64) *big.Float {
	float := func() *big.Float { return new(big.Float).SetPrec(400) }
	pow := func(x *big.Float, e int) *big.Float {
		y := float().SetInt64(1)
		for range e {
			y.Mul(y, x)
		}
		return y
	}
	bp := float().SetFloat64(p)
	ratio := float().Quo(bp, float().Sub(float().SetInt64(1), bp))
	sum := float()
	term := pow(float().Sub(float().SetInt64(1), bp), n) // P(X = 0)
	for i := range n + 1 {
		if i > k {
			sum.Add(sum, term)
		}
		term = float().Mul(term, ratio)
		term.Mul(term, float().SetInt64(int64(n-i)))
		term.Quo(term, float().SetInt64(int64(i+1)))
	}
	return sum
}

// The smallest declaration for which a window test can fail is -log2(alpha)/W;
// below it there is an error, and with it the cutoff is the window itself.
func TestCutoffCanFail(t *testing.T) {
	for _, window := range []int{512, 1024} {
		least := 30 / float64(window)
		c, err := ProportionCutoff(window, least*1.0001, DefaultAlpha)
		require.NoError(t, err)
		assert.Equal(t, window, c)
		_, err = ProportionCutoff(window, least*0.9999, DefaultAlpha)
		require.ErrorIs(t, err, ErrDeclaration)
		_, err = LagCutoff(window, Lags, least*1.0001, DefaultAlpha)
		require.ErrorIs(t, err, ErrDeclaration, "the lag test shares alpha among 16 lags")
	}
}

// With a high declaration critbinom is 0, and 1 + 0 would fail at once.
func TestProportionCutoffAtLeastTwo(t *testing.T) {
	c, err := ProportionCutoff(Window, 64, DefaultAlpha)
	require.NoError(t, err)
	assert.Equal(t, 2, c)
}

// What is just within a limit is taken, what is just beyond is not.
func TestCutoffLimits(t *testing.T) {
	const longest = math.MaxInt32 - 1 // -log2(alpha)/h, rounded up
	c, err := RepetitionCutoff(30/(longest-0.5), DefaultAlpha)
	require.NoError(t, err)
	require.Equal(t, longest+1, c)
	_, err = RepetitionCutoff(30/(longest+0.5), DefaultAlpha)
	require.ErrorIs(t, err, ErrDeclaration)

	for window, ok := range map[int]bool{1: false, 2: true, 1 << 20: true, 1<<20 + 1: false} {
		_, err := ProportionCutoff(window, 32, DefaultAlpha)
		require.Equal(t, ok, err == nil, "a window of %d: %v", window, err)
	}
	c, err = LagCutoff(512, 1, 1, DefaultAlpha)
	require.NoError(t, err)
	same, err := windowCutoff("lag", 512, 1, DefaultAlpha)
	require.NoError(t, err)
	require.Equal(t, same, c, "one lag has alpha for itself")

	_, err = RepetitionCutoff(1, minAlpha)
	require.NoError(t, err)
	_, err = RepetitionCutoff(1, minAlpha/2)
	require.ErrorIs(t, err, ErrDeclaration)
	_, err = RepetitionCutoff(0, DefaultAlpha)
	require.ErrorContains(t, err, "not in (0, 64]")

	// A certain value never fails a window: 2^-h is 1 in floating point.
	_, err = ProportionCutoff(512, 1e-17, DefaultAlpha)
	require.ErrorIs(t, err, ErrDeclaration)
	_, err = ProportionCutoff(512, 0.05, DefaultAlpha)
	require.ErrorContains(t, err, "declare at least 0.0586", "30/512")
	require.Equal(t, 0, critBinom(1, 0.5, 0.5), "P(X <= 0) is 1/2, which is enough")
	require.Equal(t, 1, critBinom(1, 0.5, 0.4999))
}

func TestCutoffRefuses(t *testing.T) {
	for _, h := range []float64{0, -1, 64.1, math.NaN(), math.Inf(1), math.Inf(-1)} {
		_, err := RepetitionCutoff(h, DefaultAlpha)
		require.ErrorIs(t, err, ErrDeclaration, "H=%v", h)
		_, err = ProportionCutoff(512, h, DefaultAlpha)
		require.ErrorIs(t, err, ErrDeclaration, "H=%v", h)
	}
	for _, alpha := range []float64{0, 1, 2, -1, math.NaN(), math.Inf(1)} {
		_, err := RepetitionCutoff(1, alpha)
		require.ErrorIs(t, err, ErrDeclaration, "alpha=%v", alpha)
	}
	_, err := RepetitionCutoff(1e-300, DefaultAlpha)
	require.ErrorIs(t, err, ErrDeclaration)
	_, err = ProportionCutoff(1, 1, DefaultAlpha)
	require.ErrorIs(t, err, ErrDeclaration)
	_, err = LagCutoff(512, 0, 1, DefaultAlpha)
	require.ErrorIs(t, err, ErrDeclaration)
	_, err = NewDeltaRepetition(65, 1, DefaultAlpha)
	require.ErrorIs(t, err, ErrDeclaration)
	for _, c := range []Config{
		{SampleBytes: 0, MinEntropy: 1},
		{SampleBytes: 9, MinEntropy: 1},
		{SampleBytes: 1, MinEntropy: 8.01},
		{SampleBytes: 1, MinEntropy: math.NaN()},
		{SampleBytes: 1, SymbolBits: 9, MinEntropy: 1},
		{SampleBytes: 1, SymbolBits: -1, MinEntropy: -2},
		{SampleBytes: 1, SymbolBits: 1, MinEntropy: 0.02},
	} {
		_, err := New(c)
		require.ErrorIs(t, err, ErrDeclaration, "%+v", c)
	}
}

func TestMonitorCutoffs(t *testing.T) {
	m, err := New(Config{SampleBytes: 1, SymbolBits: 1, MinEntropy: 1, Alpha: 0x1p-20})
	require.NoError(t, err)
	assert.Equal(t, 1024, m.Cutoffs().Window)
	assert.Equal(t, 21, m.Cutoffs().Repetition)
	assert.Equal(t, 589, m.Cutoffs().Proportion)
	m, err = New(Config{SampleBytes: 1, MinEntropy: 0.06})
	require.NoError(t, err)
	assert.Zero(t, m.Cutoffs().Lag, "left out, it could not fail")
	assert.Equal(t, 512, m.Cutoffs().Proportion)
}

func FuzzCutoffs(f *testing.F) {
	f.Add(1.0, DefaultAlpha, 512, 16)
	f.Add(0.0, 0.0, 0, 0)
	f.Add(math.NaN(), math.Inf(1), -1, -1)
	f.Add(64.0, 0x1p-999, 1<<15, 1)
	f.Add(1e-9, 0.999, 2, 1<<30)
	f.Fuzz(func(t *testing.T, h, alpha float64, window, lags int) {
		if window > 1<<14 && window <= 1<<20 {
			window >>= 6 // large windows are only slow
		}
		if c, err := RepetitionCutoff(h, alpha); err == nil && c < 2 {
			t.Fatal("a single sample cannot repeat", c)
		}
		for _, r := range []struct {
			c   int
			err error
		}{result(ProportionCutoff(window, h, alpha)), result(LagCutoff(window, lags, h, alpha))} {
			if r.err == nil && (r.c < 1 || r.c > window) {
				t.Fatal("cutoff outside the window", r.c, window)
			}
		}
	})
}

func result(c int, err error) struct {
	c   int
	err error
} {
	return struct {
		c   int
		err error
	}{c, err}
}

func ExampleRepetitionCutoff() {
	c, _ := RepetitionCutoff(0.5, DefaultAlpha)
	fmt.Println(c)
	// Output: 61
}
