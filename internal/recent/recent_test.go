package recent

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTable(t *testing.T) {
	made := 0
	table := New[int](16, func() *int { made++; n := made; return &n })
	kept := table.Get(-1)
	for i := range 1000 {
		v := table.Get(i)
		require.Same(t, v, table.Get(i))
		require.Same(t, kept, table.Get(-1), "what is used stays")
		require.LessOrEqual(t, table.Len(), 16)
	}
	require.Greater(t, table.Len(), 12)
	before := made
	table.Get(999)
	require.Equal(t, before, made)
	table.Get(0)
	require.Equal(t, before+1, made, "the oldest were forgotten")

	one := New[int](0, func() int { return 1 })
	for i := range 10 {
		one.Get(i)
		require.Equal(t, 1, one.Len())
	}
}
