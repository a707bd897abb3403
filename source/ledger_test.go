package source_test

import (
	"math"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/source"
)

func TestLedger(t *testing.T) {
	var l source.Ledger
	assert.Equal(t, source.SeedBits, l.Missing(source.SeedBits))
	l.Add(255.5)
	assert.False(t, l.Seeded())
	assert.Equal(t, 1, l.Missing(source.SeedBits))
	assert.False(t, l.Spend(source.SeedBits), "half a bit short")
	l.Add(0.5)
	assert.True(t, l.Seeded())
	assert.Zero(t, l.Missing(source.SeedBits))
	assert.Equal(t, 64, l.Missing(source.SeedBits+source.MarginBits))
	assert.True(t, l.Spend(source.SeedBits))
	assert.False(t, l.Spend(1))
	assert.True(t, l.Seeded(), "spent or not")
	assert.InDelta(t, 256, l.Total(), 0)
	assert.InDelta(t, 256, l.Spent(), 0)
	assert.InDelta(t, 0, l.Balance(), 0)

	for _, bits := range []float64{-1, math.NaN(), math.Inf(1), math.Inf(-1), 0} {
		l.Add(bits)
	}
	assert.InDelta(t, 256, l.Total(), 0)
	for _, bits := range []float64{-1, math.NaN(), math.Inf(1)} {
		assert.False(t, l.Spend(bits))
	}
	assert.True(t, l.Spend(0))
	assert.Equal(t, math.MaxInt32, l.Missing(math.Inf(1)))
	assert.Zero(t, l.Missing(-5))
}

// No bit is spent twice.
func TestLedgerConcurrent(t *testing.T) {
	var l source.Ledger
	var wg sync.WaitGroup
	spent := make([]int, 8)
	for i := range spent {
		wg.Go(func() {
			for range 1000 {
				l.Add(3)
				if l.Spend(4) {
					spent[i] += 4
				}
			}
		})
	}
	wg.Wait()
	sum := 0
	for _, n := range spent {
		sum += n
	}
	require.InDelta(t, 24000, l.Total(), 0)
	require.InDelta(t, float64(sum), l.Spent(), 0)
	require.InDelta(t, float64(24000-sum), l.Balance(), 0)
	require.GreaterOrEqual(t, l.Balance(), 0.0)
}
