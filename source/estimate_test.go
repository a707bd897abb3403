package source_test

import (
	"context"
	"errors"
	"math"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/source"
	"github.com/xentropyd/xentropyd/source/hwrng"
	"github.com/xentropyd/xentropyd/source/tpm"
)

// TestEstimate prints quick estimates of each source's min-entropy per byte,
// from which the declarations were taken:
//
//	XENTROPYD_ESTIMATE=1000000 go test -run TestEstimate -v ./source
//
// The variable says how many bytes; without it they are few, and the test only
// looks for a source that shows less than it declares. The estimates are those
// of SP 800-90B, 6.3.1, 6.3.5, and, as plain prediction rates without the bound
// for runs, 6.3.8 and 6.3.9. They are quicker and rougher than the whole
// assessment off line.
func TestEstimate(t *testing.T) {
	n, share := 20000, 1.0
	if s := os.Getenv("XENTROPYD_ESTIMATE"); s != "" {
		var err error
		n, err = strconv.Atoi(s)
		require.NoError(t, err)
		share = 0.5
	}
	devices := []source.Source{hwrng.New(1, hwrng.DefaultDevice), tpm.New(tpm.DefaultDevice)}
	list := source.Probe()
	for _, d := range devices {
		list = append(list, source.Found{Info: d.Info(), Source: d})
	}
	for _, f := range list {
		if f.Source == nil || f.Info.ID == source.IDArrivals {
			continue
		}
		if _, err := f.Source.Sample(t.Context(), make([]byte, 8)); errors.Is(err, source.ErrAbsent) {
			t.Log(err)
			continue
		}
		data := make([]byte, n/8*8)
		for got := 0; got < len(data); {
			n, err := f.Source.Sample(context.Background(), data[got:])
			require.NoError(t, err)
			got += n
		}
		mcv, tuple, lag, markov := mostCommon(data), tTuple(data), lagRate(data),
			markovRate(data[:min(len(data), 100000)])
		low := min(mcv, tuple, lag, markov)
		declared := f.Info.MinEntropy / float64(f.Info.SampleBytes)
		t.Logf("%-8s most common %.3f, t-tuple %.3f, lag %.3f, Markov chains %.3f: lowest %.3f, declared %.3f bits "+
			"per byte",
			f.Info.Name, mcv, tuple, lag, markov, low, declared)
		require.LessOrEqual(t, declared, low*share, f.Info.Name)
		require.NoError(t, f.Source.Close())
	}
}

// upper is the 99 % upper bound of a proportion, in bits: SP 800-90B, 6.3.1.
func upper(p float64, n int) float64 {
	return -math.Log2(min(1, p+2.576*math.Sqrt(p*(1-p)/float64(n-1))))
}

func mostCommon(data []byte) float64 {
	var count [256]int
	for _, b := range data {
		count[b]++
	}
	return upper(float64(slices.Max(count[:]))/float64(len(data)), len(data))
}

// tTuple finds the most frequent tuple of each length that comes 35 times.
func tTuple(data []byte) float64 {
	class := make([]int32, len(data)) // the number of the tuple that starts here
	for i, b := range data {
		class[i] = int32(b)
	}
	worst := 0.0
	for t := 1; ; t++ {
		n := len(data) - t + 1
		count := map[int32]int{}
		most := 0
		for _, c := range class[:n] {
			count[c]++
			most = max(most, count[c])
		}
		if most < 35 {
			return upper(worst, len(data))
		}
		worst = max(worst, math.Pow(float64(most)/float64(n), 1/float64(t)))
		// The next length: tuples that come less than 35 times are all the
		// same class, since no longer one can come more often.
		next := map[int64]int32{}
		for i := range n - 1 {
			if class[i] < 0 || count[class[i]] < 35 {
				class[i] = -1 - int32(i)
				continue
			}
			key := int64(class[i])<<8 | int64(data[i+t])
			id, ok := next[key]
			if !ok {
				id = int32(len(next))
				next[key] = id
			}
			class[i] = id
		}
	}
}

// lagRate is how often the best of 128 distances predicts a byte.
func lagRate(data []byte) float64 {
	most := 0
	for d := 1; d <= 128; d++ {
		hits := 0
		for i := d; i < len(data); i++ {
			if data[i] == data[i-d] {
				hits++
			}
		}
		most = max(most, hits)
	}
	return upper(float64(most)/float64(len(data)), len(data))
}

// markovRate is how often the best of Markov chains of depth 1 to 8 predicts a
// byte, each learning as it goes.
func markovRate(data []byte) float64 {
	most := 0
	for depth := 1; depth <= 8; depth++ {
		type state struct {
			count map[byte]int
			best  byte
		}
		states := map[string]*state{}
		hits := 0
		for i := depth; i < len(data); i++ {
			s := states[string(data[i-depth:i])]
			if s == nil {
				s = &state{count: map[byte]int{}}
				states[string(data[i-depth:i])] = s
			} else if s.best == data[i] {
				hits++
			}
			s.count[data[i]]++
			if s.count[data[i]] > s.count[s.best] {
				s.best = data[i]
			}
		}
		most = max(most, hits)
	}
	return upper(float64(most)/float64(len(data)), len(data))
}
