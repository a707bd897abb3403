package health

import (
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A source that has exactly what it declares is never refused: with alpha 2^-30
// about four million samples of each kind give some 10^-2 false alarms in all,
// and the seeds are fixed. With XENTROPYD_SOAK set it goes on for that long,
// with other seeds.
func TestNoFalseAlarm(t *testing.T) {
	samples := 1 << 20
	if testing.Short() {
		samples = 1 << 17
	}
	kinds := []struct {
		name string
		c    Config
		next func(r *rand.Rand) uint64
	}{
		{
			"bits",
			Config{SampleBytes: 1, SymbolBits: 1, MinEntropy: 1},
			func(r *rand.Rand) uint64 { return r.Uint64() & 1 },
		},
		{
			"bytes, 1 bit",
			Config{SampleBytes: 1, MinEntropy: 1},
			func(r *rand.Rand) uint64 { return r.Uint64() & 1 * 0x55 },
		},
		{
			"bytes, 8 bits",
			Config{SampleBytes: 1, MinEntropy: 8},
			func(r *rand.Rand) uint64 { return r.Uint64() & 0xff },
		},
		// One value half of the time: the most likely one has just 2^-1.
		{"biased as declared", Config{SampleBytes: 1, MinEntropy: 1}, func(r *rand.Rand) uint64 {
			if x := r.Uint64(); x>>63 == 0 {
				return x & 0xff
			}
			return 3
		}},
	}
	for k, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			m, err := New(kind.c)
			require.NoError(t, err)
			for seed, begin := uint64(k), time.Now(); ; seed += 100 {
				r := good(seed)
				n, f := feed(m, samples, func(int) uint64 { return kind.next(r) })
				require.Nil(t, f, "seed %d after %d samples", seed, n)
				if time.Since(begin) >= soak(t)/2 {
					break
				}
			}
		})
	}
}

func soak(t *testing.T) time.Duration {
	s := os.Getenv("XENTROPYD_SOAK")
	if s == "" {
		return 0
	}
	d, err := time.ParseDuration(s)
	require.NoError(t, err)
	return d
}

// The alarm rate is the one that alpha says, neither more nor far less: with a
// large alpha it can be counted.
func TestAlarmRate(t *testing.T) {
	const alpha, trials = 1.0 / 64, 4000
	for name, add := range map[string]func(r *rand.Rand) bool{
		// The binary lag test with one lag looked at: within alpha/Lags each.
		"lag": func() func(r *rand.Rand) bool {
			test, err := NewLagCount(Window, 1, alpha)
			require.NoError(t, err)
			return func(r *rand.Rand) bool {
				test.Reset()
				failed := false
				for range Window + Lags {
					failed = failed || test.Add(r.Uint64()&1) != nil
				}
				return failed
			}
		}(),
		"repetition": func() func(r *rand.Rand) bool {
			test, err := NewRepetitionCount(1, alpha)
			require.NoError(t, err)
			return func(r *rand.Rand) bool {
				test.Reset()
				failed := false
				for range test.Cutoff() { // one run
					failed = failed || test.Add(r.Uint64()&1) != nil
				}
				return failed
			}
		}(),
	} {
		r := good(42)
		alarms := 0
		for range trials {
			if add(r) {
				alarms++
			}
		}
		rate := float64(alarms) / trials
		// Ten standard deviations of noise above alpha; not under an eighth.
		require.Less(t, rate, alpha*1.7, name)
		require.Greater(t, rate, alpha/8, name)
	}
}
