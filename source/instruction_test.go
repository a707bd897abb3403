package source

import (
	"context"
	"encoding/binary"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// counting fills with 1, 2, 3..., at most most words a call.
func counting(most func() int) func([]byte) int {
	next := uint64(0)
	return func(dst []byte) int {
		n := min(most(), len(dst)/8)
		for i := range n {
			next++
			binary.LittleEndian.PutUint64(dst[8*i:], next)
		}
		return n
	}
}

func TestInstructionGoesOnWhereItStopped(t *testing.T) {
	call := 0
	s := newInstruction(rdseedInfo, 4, 10, counting(func() int { call++; return call % 3 }))
	dst := make([]byte, 8*100+5)
	n, err := s.Sample(t.Context(), dst)
	require.NoError(t, err)
	require.Equal(t, 800, n)
	for i := range 100 {
		require.EqualValues(t, i+1, binary.LittleEndian.Uint64(dst[8*i:]))
	}
	assert.Equal(t, make([]byte, 5), dst[800:])
}

func TestInstructionExhausted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, waits := range []int{0, rdseedWaits} {
			calls := 0
			s := newInstruction(rdseedInfo, 4, waits, func([]byte) int { calls++; return 0 })
			begin := time.Now()
			n, err := s.Sample(t.Context(), make([]byte, 64))
			require.ErrorIs(t, err, ErrExhausted)
			require.Zero(t, n)
			assert.Equal(t, waits+1, calls)
			assert.LessOrEqual(t, time.Since(begin), 110*time.Millisecond, "the waits are bounded")
		}
		// Data in between starts the count over; one too few is borne.
		calls := 0
		s := newInstruction(rdseedInfo, 4, 3, counting(func() int {
			calls++
			if calls%4 == 0 {
				return 1
			}
			return 0
		}))
		_, err := s.Sample(t.Context(), make([]byte, 64))
		require.NoError(t, err)
	})
}

func TestInstructionContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	s := newInstruction(rdrandInfo, 4, 0, func(dst []byte) int {
		if calls++; calls == 3 {
			cancel()
		}
		return len(dst) / 8
	})
	n, err := s.Sample(ctx, make([]byte, 4096))
	require.ErrorIs(t, err, context.Canceled)
	require.Zero(t, n)
	assert.Equal(t, 3, calls)
	require.NoError(t, s.Close())
	_, err = s.Sample(t.Context(), make([]byte, 8))
	require.ErrorIs(t, err, ErrClosed)
}

// Of the real instructions: every word is written, none twice, and nothing
// beyond the last whole word.
func TestInstructionsOfThisCPU(t *testing.T) {
	for _, open := range []func() (Source, error){openRDRAND, openRDSEED} {
		s, err := open()
		if err != nil {
			t.Logf("skipped: %v", err)
			continue
		}
		seen := map[uint64]bool{0: true}
		for n := range 70 {
			dst := make([]byte, n+16)
			got, err := s.Sample(t.Context(), dst[:n])
			require.NoError(t, err)
			require.Equal(t, n/8*8, got)
			require.Equal(t, make([]byte, n%8+16), dst[got:])
			for i := 0; i < got; i += 8 {
				x := binary.LittleEndian.Uint64(dst[i:])
				require.False(t, seen[x], "a word is zero or comes twice")
				seen[x] = true
			}
		}
	}
}

// Two threads that insist on RDSEED take it from one another: on AMD up to half
// of the calls fail then, if both run at once. The assembly's retries and Sample's waits bear it, and
// words stay where they belong. (RDRAND and RDSEED share their code.)
func TestRDSEEDContended(t *testing.T) {
	s, err := openRDSEED()
	if err != nil {
		t.Skipf("needs an x86-64 CPU with RDSEED: %v", err)
	}
	var mu sync.Mutex
	seen := map[uint64]bool{0: true}
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			own, _ := openRDSEED()
			dst := make([]byte, 8*30000)
			n, err := own.Sample(t.Context(), dst)
			assert.NoError(t, err)
			assert.Equal(t, len(dst), n)
			mu.Lock()
			defer mu.Unlock()
			for ; len(dst) > 0; dst = dst[8:] {
				x := binary.LittleEndian.Uint64(dst)
				if seen[x] {
					assert.Fail(t, "a word is zero or comes twice")
				}
				seen[x] = true
			}
		})
	}
	wg.Wait()
	require.NoError(t, s.Close())
}
