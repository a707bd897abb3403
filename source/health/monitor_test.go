package health

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// monitor makes the Monitor of a source of bytes with h bits each.
func monitor(t testing.TB, h float64) *Monitor {
	t.Helper()
	m, err := New(Config{SampleBytes: 1, MinEntropy: h})
	require.NoError(t, err)
	return m
}

func good(seed uint64) *rand.Rand {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	return rand.New(rand.NewChaCha8(key))
}

// feed adds samples until one fails, at most n, and returns how many were
// added and the failure.
func feed(m *Monitor, n int, next func(i int) uint64) (int, *Failure) {
	for i := range n {
		if err := m.Add(next(i)); err != nil {
			var f *Failure
			if !errors.As(err, &f) {
				panic(err)
			}
			return i + 1, f
		}
	}
	return n, nil
}

// Each failure alone: good samples first, then one kind of failure. The test
// that is there for it rings, at its cutoff, and no other one does.
func TestEachFailureAlone(t *testing.T) {
	const h = 1.0 // cutoffs: repetition and delta 31, proportion 325 or so
	const before = 3000
	r := good(7)
	for _, c := range []struct {
		name string
		want Test
		lag  int
		bad  func(i int) uint64
	}{
		{"stuck at zero", Repetition, 0, func(int) uint64 { return 0 }},
		{"stuck at all ones", Repetition, 0, func(int) uint64 { return 0xff }},
		{"biased", Proportion, 0, func(int) uint64 { return choose(r, 0.72, 9) }},
		{"bias that grows slowly", Proportion, 0, func(i int) uint64 { return choose(r, float64(i)*2e-4, 9) }},
		{"linear ramp", Delta, 0, func(i int) uint64 { return uint64(i) & 0xff }},
		{"linear ramp downwards, by 3", Delta, 0, func(i int) uint64 { return uint64(-3*i) & 0xff }},
		{"pattern of 2", Lag, 2, func(i int) uint64 { return []uint64{1, 2}[i%2] }},
		{"pattern of 5", Lag, 5, func(i int) uint64 { return []uint64{1, 200, 3, 77, 5}[i%5] }},
		{"pattern of 16", Lag, 16, func(i int) uint64 {
			return []uint64{
				5, 1, 90, 4, 7, 7, 200, 33, 1, 60, 2,
				81, 3, 3, 150, 9,
			}[i%16]
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := monitor(t, h)
			n, f := feed(m, before, func(int) uint64 { return r.Uint64() & 0xff })
			require.Nil(t, f, "a good source failed after %d", n)
			n, f = feed(m, 20000, c.bad)
			require.NotNil(t, f, "not seen in %d samples", n)
			assert.Equal(t, c.want, f.Test, "after %d samples: %v", n, f)
			assert.Equal(t, f.Cutoff, f.Count)
			if c.lag > 0 {
				assert.Equal(t, c.lag, f.Lag)
			}
			// The other tests stood below their cutoffs.
			rung := 0
			if m.rep.run >= m.rep.cutoff {
				rung++
			}
			if m.prop.count >= m.prop.cutoff {
				rung++
			}
			if m.delta.run >= m.delta.cutoff {
				rung++
			}
			// A pattern of 2 is also one of 4: several distances, one test.
			if slices.ContainsFunc(m.lag.count[:], func(n int32) bool { return int(n) >= m.lag.cutoff }) {
				rung++
			}
			assert.Equal(t, 1, rung, "alarms")
		})
	}
}

func choose(r *rand.Rand, p float64, value uint64) uint64 {
	x := r.Uint64() & 0xff
	if r.Float64() < p {
		return value
	}
	return x
}

// A failure is seen by the test that is there for it even without the others,
// and by the others not at all, however long it lasts.
func TestOnlyItsOwnTestSees(t *testing.T) {
	tests := func() map[Test]interface{ Add(uint64) error } {
		rep, err := NewRepetitionCount(1, DefaultAlpha)
		require.NoError(t, err)
		prop, err := NewAdaptiveProportion(Window, 1, DefaultAlpha)
		require.NoError(t, err)
		delta, err := NewDeltaRepetition(8, 1, DefaultAlpha)
		require.NoError(t, err)
		lag, err := NewLagCount(Window, 1, DefaultAlpha)
		require.NoError(t, err)
		return map[Test]interface{ Add(uint64) error }{Repetition: rep, Proportion: prop, Delta: delta, Lag: lag}
	}
	r := good(11)
	for name, c := range map[string]struct {
		next func(i int) uint64
		want []Test
	}{
		"good": {func(int) uint64 { return r.Uint64() & 0xff }, nil},
		// Forty of one value, then as many good ones: no window is filled.
		"stuck now and then": {func(i int) uint64 {
			if i/40%4 == 0 {
				return 5
			}
			return r.Uint64() & 0xff
		}, []Test{Repetition}},
		"biased":     {func(int) uint64 { return choose(r, 0.68, 9) }, []Test{Proportion}},
		"ramp":       {func(i int) uint64 { return uint64(i) & 0xff }, []Test{Delta}},
		"pattern":    {func(i int) uint64 { return []uint64{1, 200, 3, 77, 5}[i%5] }, []Test{Lag}},
		"stuck hard": {func(int) uint64 { return 5 }, []Test{Repetition, Proportion, Lag}},
	} {
		t.Run(name, func(t *testing.T) {
			all, seen := tests(), map[Test]bool{}
			for i := range 6000 {
				x := c.next(i)
				for name, test := range all {
					if test.Add(x) != nil {
						seen[name] = true
					}
				}
			}
			var got []Test
			for _, name := range Tests() {
				if seen[name] {
					got = append(got, name)
				}
			}
			assert.Equal(t, c.want, got)
		})
	}
}

// Exactly the cutoff fails, one below it does not.
func TestRepetitionBoundary(t *testing.T) {
	for _, h := range []float64{0.5, 1, 2, 8} {
		test, err := NewRepetitionCount(h, DefaultAlpha)
		require.NoError(t, err)
		for range 3 { // a run of one below, broken, does not add up
			for range test.Cutoff() - 1 {
				require.NoError(t, test.Add(0))
			}
			require.NoError(t, test.Add(1))
		}
		for range test.Cutoff() - 2 {
			require.NoError(t, test.Add(1))
		}
		require.Error(t, test.Add(1))
	}
}

func TestProportionBoundary(t *testing.T) {
	for _, window := range []int{Window, WindowBinary} {
		test, err := NewAdaptiveProportion(window, 1, DefaultAlpha)
		require.NoError(t, err)
		fill := func(matches int) (err error) {
			for i := range window {
				x := uint64(1000 + i)
				// The first, and the last ones: the window's full length
				// counts.
				if i == 0 || i > window-matches {
					x = 7
				}
				err = errors.Join(err, test.Add(x))
			}
			return err
		}
		require.NoError(t, fill(test.Cutoff()-1))
		require.NoError(t, fill(test.Cutoff()-1), "a window begins anew")
		err = fill(test.Cutoff())
		var f *Failure
		require.ErrorAs(t, err, &f)
		assert.Equal(t, Failure{Test: Proportion, Count: test.Cutoff(), Cutoff: test.Cutoff(), Window: window}, *f)
	}
}

func TestDeltaBoundary(t *testing.T) {
	test, err := NewDeltaRepetition(8, 1, DefaultAlpha)
	require.NoError(t, err)
	x := uint64(250)
	steps := func(n int, by uint64) error {
		for range n {
			x = (x + by) & 0xff
			if err := test.Add(x); err != nil {
				return err
			}
		}
		return nil
	}
	require.NoError(t, test.Add(x))
	require.NoError(t, steps(test.Cutoff()-1, 5))
	require.NoError(t, steps(1, 6))
	require.NoError(t, steps(test.Cutoff()-1, 5), "it wraps at 256 on the way")
	require.NoError(t, steps(3*test.Cutoff(), 0), "a stuck value is not its business")
	require.NoError(t, steps(test.Cutoff()-1, 5))
	require.Error(t, steps(1, 5))

	// Before the first sample there is no difference, whatever its value.
	test.Reset()
	x = 0
	require.NoError(t, steps(test.Cutoff(), 5))
	require.Error(t, steps(1, 5))

	// The run goes on over the wrap at 256.
	test.Reset()
	x = 200
	require.NoError(t, steps(test.Cutoff(), 5))
	require.Error(t, steps(1, 5))
}

// A value that came once before counts at that distance and at no other.
func TestLagSeesEachDistanceAlone(t *testing.T) {
	for d := 1; d <= Lags; d++ {
		test, err := NewLagCount(Window, 1, DefaultAlpha)
		require.NoError(t, err)
		for x := range uint64(Lags) {
			require.NoError(t, test.Add(x))
		}
		require.NoError(t, test.Add(uint64(Lags-d)))
		var want [Lags]int32
		want[d-1] = 1
		require.Equal(t, want, test.count, "distance %d", d)
	}
}

func TestLagBoundary(t *testing.T) {
	test, err := NewLagCount(Window, 1, DefaultAlpha)
	require.NoError(t, err)
	next := uint64(0)
	var past []uint64
	add := func(x uint64) error {
		past = append(past, x)
		return test.Add(x)
	}
	fresh := func(n int) {
		for range n {
			next++
			require.NoError(t, add(next))
		}
	}
	again := func(d int) error { return add(past[len(past)-d]) }
	for _, d := range []int{1, 2, 7, 16} {
		for _, fail := range []bool{false, true} {
			test.Reset()
			fresh(Lags)
			n := test.Cutoff() - 1
			for range n {
				require.NoError(t, again(d))
			}
			if fail {
				var f *Failure
				require.ErrorAs(t, again(d), &f)
				assert.Equal(t, d, f.Lag)
				assert.Equal(t, test.Cutoff(), f.Count)
				assert.Equal(t, Window, f.Window)
				continue
			}
			fresh(Window - n)
			for range n { // a new window counts from nothing
				require.NoError(t, again(d))
			}
		}
	}
}

// Reset forgets what each test has counted so far.
func TestMonitorResetForgets(t *testing.T) {
	m := monitor(t, 1)
	c := m.Cutoffs()
	ramp := uint64(0)
	pattern := func(i int) uint64 { return []uint64{1, 200, 3, 77, 5}[i%5] }
	for _, almost := range []struct {
		n    int
		next func(i int) uint64
	}{
		{c.Repetition - 1, func(int) uint64 { return 9 }},
		{c.Delta, func(int) uint64 { ramp += 7; return ramp & 0xff }}, // goes on after Reset
		{Lags + c.Lag - 1, pattern},
	} {
		for range 3 {
			n, f := feed(m, almost.n, almost.next)
			require.Nil(t, f, "after %d", n)
			m.Reset()
		}
	}
	_, f := feed(m, Lags+c.Lag, pattern)
	require.NotNil(t, f)
}

func TestMonitorStartup(t *testing.T) {
	m := monitor(t, 2)
	r := good(1)
	next := func(int) uint64 { return r.Uint64() & 0xff }
	feed(m, StartupSamples-1, next)
	assert.False(t, m.Started())
	assert.Equal(t, 1, m.Missing())
	feed(m, 1, next)
	assert.True(t, m.Started())
	assert.Zero(t, m.Missing())
	assert.EqualValues(t, StartupSamples, m.Samples())

	_, f := feed(m, 100, func(int) uint64 { return 3 })
	require.NotNil(t, f)
	assert.False(t, m.Started())
	require.ErrorIs(t, m.Add(1), f, "it stays failed")
	require.ErrorIs(t, m.Check([]byte{1}), f)
	m.Reset()
	require.NoError(t, m.Err())
	assert.Equal(t, StartupSamples, m.Missing())
	_, f = feed(m, StartupSamples, next)
	require.Nil(t, f, "nothing is left over from before")
	assert.True(t, m.Started())
}

// Check sees the same as Add, for every sample size, cut anywhere.
func TestCheckLikeAdd(t *testing.T) {
	for size := 1; size <= 8; size++ {
		c := Config{SampleBytes: size, MinEntropy: 1}
		one, err := New(c)
		require.NoError(t, err)
		many, err := New(c)
		require.NoError(t, err)
		r := good(uint64(size))
		var data []byte
		for i := range 2000 {
			x := r.Uint64()
			if i > 1500 {
				x = 0x0102030405060708
			}
			var word [8]byte
			binary.LittleEndian.PutUint64(word[:], x)
			data = append(data, word[:size]...)
		}
		var want error
		for i := 0; i < len(data) && want == nil; i += size {
			var word [8]byte
			copy(word[:], data[i:i+size])
			want = one.Add(binary.LittleEndian.Uint64(word[:]))
		}
		require.Error(t, want)
		var got error
		for len(data) > 0 && got == nil {
			n := min(1+r.IntN(40), len(data)/size) * size
			got = many.Check(data[:n])
			data = data[n:]
		}
		assert.Equal(t, want, got)
		assert.Equal(t, one.Samples(), many.Samples())
	}
	m, err := New(Config{SampleBytes: 8, MinEntropy: 8})
	require.NoError(t, err)
	require.Error(t, m.Check(make([]byte, 9)))
	require.Zero(t, m.Samples())
}

// A source of words that repeats one is found with a realistic declaration.
func TestWords(t *testing.T) {
	words := func() *Monitor {
		m, err := New(Config{SampleBytes: 8, MinEntropy: 8})
		require.NoError(t, err)
		return m
	}
	r := good(3)
	n, f := feed(words(), 1<<20, func(int) uint64 { return r.Uint64() })
	require.Nil(t, f, "after %d", n)
	_, f = feed(words(), 100, func(int) uint64 { return ^uint64(0) })
	require.NotNil(t, f)
	assert.Equal(t, Repetition, f.Test)
	assert.Equal(t, 5, f.Cutoff)
}

func TestMonitorAllocatesNothing(t *testing.T) {
	m := monitor(t, 1)
	r := good(5)
	data := make([]byte, 4096)
	assert.Zero(t, testing.AllocsPerRun(20, func() {
		for i := range data {
			data[i] = byte(r.Uint64())
		}
		if m.Check(data) != nil {
			t.Error("a good source failed")
		}
		if m.Samples() > 20000 {
			m.Reset()
		}
	}))
}

// Every byte of a sample counts, whatever its size: samples that differ in one
// byte alone are no repetition.
func TestEveryByteOfASampleCounts(t *testing.T) {
	for size := 1; size <= 8; size++ {
		for at := range size {
			m, err := New(Config{SampleBytes: size, MinEntropy: 1})
			require.NoError(t, err)
			r := rand.New(rand.NewPCG(1, 2))
			data := make([]byte, size*StartupSamples)
			for i := range StartupSamples {
				data[i*size+at] = byte(r.Uint64())
			}
			require.NoError(t, m.Check(data), "byte %d of %d", at, size)
		}
	}
}

func TestFailureText(t *testing.T) {
	m := monitor(t, 1)
	_, f := feed(m, 100, func(int) uint64 { return 0xa5 })
	require.EqualError(t, f, "health test repetition failed: count 31 reached the cutoff 31")
	f = &Failure{Test: Lag, Count: 330, Cutoff: 330, Window: 512, Lag: 5}
	require.EqualError(t, f, "health test lag failed: count 330 reached the cutoff 330 in a window of 512 samples "+
		"at distance 5")
}
