package source_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/source"
	"github.com/xentropyd/xentropyd/source/health"
)

// Every source is told of, present or not; numbers and names are not given
// twice; each declaration gives working health tests.
func TestProbe(t *testing.T) {
	found := source.Probe()
	names := []string{"rdrand", "rdseed", "jitter", "kernel", "arrivals"}
	require.Len(t, found, len(names))
	for i, f := range found {
		assert.Equal(t, names[i], f.Info.Name)
		assert.EqualValues(t, i+1, f.Info.ID)
		assert.NotEmpty(t, f.Info.Description)
		_, err := health.New(health.Config{SampleBytes: f.Info.SampleBytes, MinEntropy: f.Info.MinEntropy})
		require.NoError(t, err)
		if f.Source == nil {
			require.ErrorIs(t, f.Err, source.ErrAbsent)
			assert.Equal(t, f.Err.Error(), f.Status().LastError)
			continue
		}
		require.NoError(t, f.Err)
		assert.Equal(t, f.Info, f.Source.Info())
		require.NoError(t, f.Source.Close())
	}
}

func TestFind(t *testing.T) {
	found, err := source.Find("arrivals", "kernel")
	require.NoError(t, err)
	require.Len(t, found, 2)
	assert.Equal(t, "arrivals", found[0].Info().Name)
	assert.Equal(t, "kernel", found[1].Info().Name)
	none, err := source.Find("kernel", "dice")
	require.ErrorContains(t, err, `find source "dice"`)
	assert.Nil(t, none)
	none, err = source.Find()
	require.NoError(t, err)
	assert.Empty(t, none)
}

// One that is absent says what is missing and what to do.
func TestNotPresent(t *testing.T) {
	err := source.NotPresent("dice", "no table", "buy one")
	require.ErrorIs(t, err, source.ErrAbsent)
	require.EqualError(t, err, "dice: source is not present: no table (buy one)")
	st := source.Found{Info: source.Info{Name: "dice"}, Err: err}.Status()
	assert.Equal(t, source.StateAbsent, st.State)
	assert.Equal(t, err.Error(), st.LastError)
}
