package source

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCounterMoves(t *testing.T) {
	a := counter()
	for range 1000 {
		b := counter()
		require.GreaterOrEqual(t, b, a)
		a = b
	}
}

// A sample is the low byte of the difference of two readings, as it is.
func TestJitterIsRaw(t *testing.T) {
	now, step := uint64(1<<40), uint64(0)
	j := NewJitterCounter("a test's counter", func() uint64 {
		step = step*5 + 1 // differences of more than a byte
		now += step % 10007
		return now
	})
	_, err := j.Sample(t.Context(), nil) // tries the counter
	require.NoError(t, err)
	assert.Contains(t, j.Info().Description, "a test's counter")
	again := step
	dst := make([]byte, 3*jitterChunk+1)
	n, err := j.Sample(t.Context(), dst)
	require.NoError(t, err)
	require.Equal(t, len(dst), n)
	for i, b := range dst {
		if i%jitterChunk == 0 {
			again = again*5 + 1
		}
		again = again*5 + 1
		require.Equal(t, byte(again%10007), b, "sample %d", i)
	}
}

func TestJitterRefusesCoarseCounters(t *testing.T) {
	calls := uint64(0)
	for name, counter := range map[string]func() uint64{
		"stopped":      func() uint64 { return 7 },
		"regular":      func() uint64 { calls++; return 1000 * calls },
		"seldom moves": func() uint64 { calls++; return calls / 3 },
	} {
		n, err := NewJitterCounter(name, counter).Sample(t.Context(), make([]byte, 8))
		require.ErrorIs(t, err, ErrAbsent, name)
		require.ErrorContains(t, err, "too coarse", name)
		require.Zero(t, n)
	}
}

// On a machine under load a try may fail and a later one pass; then it is not
// tried again.
func TestJitterTriesAgain(t *testing.T) {
	var now, calls uint64
	fine := false
	j := NewJitterCounter("counter", func() uint64 {
		if calls++; fine {
			now += calls * calls % 251
		}
		return now
	})
	for range 3 {
		_, err := j.Sample(t.Context(), make([]byte, 8))
		require.ErrorIs(t, err, ErrAbsent)
	}
	fine = true
	n, err := j.Sample(t.Context(), make([]byte, 8))
	require.NoError(t, err)
	require.Equal(t, 8, n)
	before := calls
	_, err = j.Sample(t.Context(), make([]byte, 8))
	require.NoError(t, err)
	require.EqualValues(t, 8+1, calls-before)
}

func TestJitterStops(t *testing.T) {
	j := NewJitter()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := j.Sample(ctx, make([]byte, 10))
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, j.Close())
	_, err = j.Sample(t.Context(), make([]byte, 10))
	require.ErrorIs(t, err, ErrClosed)
}

// The walk goes through every line of the buffer before it comes back.
func TestJitterWalk(t *testing.T) {
	require.Zero(t, jitterBuffer&(jitterBuffer-1))
	j := &Jitter{mem: make([]byte, jitterBuffer), counter: counter}
	for range jitterBuffer / jitterSteps {
		j.walk()
	}
	for i, b := range j.mem {
		if b != 1 {
			t.Fatalf("byte %d was visited %d times", i, b)
		}
	}
}
