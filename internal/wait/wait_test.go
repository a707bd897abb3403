package wait

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		require.True(t, For(t.Context(), time.Minute))
		require.Equal(t, time.Minute, time.Since(begin))
		require.True(t, For(t.Context(), 0))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.False(t, For(ctx, time.Minute))
		require.False(t, For(ctx, 0))
		require.Equal(t, time.Minute+time.Second, time.Since(begin))
	})
}

func TestBackoff(t *testing.T) {
	b := Backoff{First: 3, Last: 10}
	for _, want := range []time.Duration{3, 6, 10, 10} {
		require.Equal(t, want, b.Next())
	}
	b.Reset()
	require.EqualValues(t, 3, b.Next())
	require.EqualValues(t, 2, (&Backoff{First: 3, Last: 2}).Next())
}
