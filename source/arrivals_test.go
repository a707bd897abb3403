package source

import (
	"context"
	"encoding/binary"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func drain(t *testing.T, a *Arrivals, samples int) []uint64 {
	t.Helper()
	dst := make([]byte, 8*samples)
	n, err := a.Sample(t.Context(), dst)
	require.NoError(t, err)
	var out []uint64
	for i := 0; i < n; i += 8 {
		out = append(out, binary.LittleEndian.Uint64(dst[i:]))
	}
	return out
}

func TestArrivals(t *testing.T) {
	a := NewArrivals()
	assert.False(t, a.Info().Credited)
	assert.Empty(t, drain(t, a, 4))
	for _, at := range []uint64{100, 103, 110, 111} {
		a.mark(at)
	}
	assert.Equal(t, []uint64{100, 3}, drain(t, a, 2))
	assert.Equal(t, []uint64{7, 1}, drain(t, a, 5))
	assert.Empty(t, drain(t, a, 5))
	a.mark(0) // a counter that reads 0 does not stop the ring
	a.mark(112)
	assert.Len(t, drain(t, a, 5), 2)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := a.Sample(ctx, make([]byte, 8))
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, a.Close())
	_, err = a.Sample(t.Context(), make([]byte, 8))
	require.ErrorIs(t, err, ErrClosed)
	a.Mark()
}

// What does not fit is dropped, and the ring goes on afterwards.
func TestArrivalsFull(t *testing.T) {
	a := NewArrivals()
	for range 3 {
		before := a.last
		for i := range uint64(arrivalsRing + 100) {
			a.mark(before + i + 1)
		}
		got := drain(t, a, 2*arrivalsRing)
		require.Len(t, got, arrivalsRing)
		require.Equal(t, before+arrivalsRing, a.last, "the first ones are kept")
	}
}

func TestArrivalsConcurrent(t *testing.T) {
	const writers, marks = 4, 5000
	a := NewArrivals()
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range marks {
				a.Mark()
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	got := 0
	for end := false; !end; {
		select {
		case <-done:
			end = true
		default:
		}
		got += len(drain(t, a, 100))
	}
	for n := 1; n > 0; got += n {
		n = len(drain(t, a, 100))
	}
	assert.Positive(t, got)
	assert.LessOrEqual(t, got, writers*marks)
	assert.Equal(t, a.head.Load(), a.tail.Load())
	assert.EqualValues(t, got, a.tail.Load())
}

func TestMarkAllocatesNothing(t *testing.T) {
	a := NewArrivals()
	assert.Zero(t, testing.AllocsPerRun(1000, a.Mark))
}
