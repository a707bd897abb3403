package source

import (
	"bytes"
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestKernel(t *testing.T) {
	s, err := openKernel()
	require.NoError(t, err)
	assert.False(t, s.Info().Credited)
	a, b := make([]byte, 4099), make([]byte, 4099)
	for _, p := range [][]byte{a, b} {
		n, err := s.Sample(t.Context(), p)
		require.NoError(t, err)
		require.Equal(t, 4096, n, "whole samples")
		require.Equal(t, []byte{0, 0, 0}, p[4096:])
	}
	for i := 0; i < 4096; i += 8 {
		require.False(t, bytes.Equal(a[i:i+8], b[i:i+8]))
		require.NotEqual(t, make([]byte, 8), a[i:i+8])
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.Sample(ctx, a)
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, s.Close())
	_, err = s.Sample(t.Context(), a)
	require.ErrorIs(t, err, ErrClosed)
}
