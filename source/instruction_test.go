package source

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/source/health"
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

// One word in 10,000 that is all zeros or all ones passes the health tests; the
// source itself refuses the batch and says whose fault it is.
func TestInstructionThatLies(t *testing.T) {
	for _, c := range []struct {
		info Info
		word uint64
		want string
		cpu  string
	}{
		{rdseedInfo, 0, FailureZero, "Zen 5"},
		{rdseedInfo, ^uint64(0), FailureOnes, "Zen 2"},
		{rdrandInfo, 0, FailureZero, "15h and 16h"},
		{rdrandInfo, ^uint64(0), FailureOnes, "Zen 2"},
	} {
		t.Run(c.info.Name+" "+c.want, func(t *testing.T) {
			words, prng := 0, rand.New(rand.NewPCG(1, 2))
			fill := func(dst []byte) int {
				for i := range len(dst) / 8 {
					words++
					x := prng.Uint64()
					if words%10_000 == 0 {
						x = c.word
					}
					binary.LittleEndian.PutUint64(dst[8*i:], x)
				}
				return len(dst) / 8
			}
			s := newInstruction(c.info, 512, 0, fill)
			m, err := health.New(health.Config{SampleBytes: 8, MinEntropy: c.info.MinEntropy})
			require.NoError(t, err)
			for range 10 {
				buf := make([]byte, 8*10_000)
				fill(buf)
				require.NoError(t, m.Check(buf), "the health tests do not see it")
			}
			words = 0
			for words < 9_999-512 {
				_, err := s.Sample(t.Context(), make([]byte, 8*512))
				require.NoError(t, err)
			}
			n, err := s.Sample(t.Context(), make([]byte, 8*1024))
			require.Zero(t, n)
			e, ok := errors.AsType[*WordError](err)
			require.True(t, ok, "%v", err)
			assert.Equal(t, c.want, failureName(fmt.Errorf("wrapped: %w", e)))
			assert.ErrorContains(t, err, "2^-64")
			assert.ErrorContains(t, err, c.cpu)

			// In a harvest: counted by its name, and nothing of the batch comes
			// through.
			words = 0
			synctest.Test(t, func(t *testing.T) {
				zero, batches := 0, 0
				h := NewHarvester([]Source{newInstruction(c.info, 512, 0, fill)}, func(b Batch) {
					batches++
					for d := b.Data; len(d) > 0; d = d[8:] {
						if binary.LittleEndian.Uint64(d) == c.word {
							zero++
						}
					}
				})
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error)
				go func() { done <- h.Run(ctx) }()
				for h.Status()[0].Failures[c.want] == 0 {
					h.Demand(100_000)
					synctest.Wait()
				}
				st := h.Status()[0]
				assert.Equal(t, StateQuarantined, st.State)
				assert.Equal(t, map[string]uint64{c.want: 1}, st.Failures)
				assert.Contains(t, st.LastError, c.cpu)
				cancel()
				require.NoError(t, <-done)
				assert.Positive(t, batches)
				assert.Zero(t, zero)
			})
		})
	}
	// Words next to them are good ones.
	s := newInstruction(rdrandInfo, 4, 0, func(dst []byte) int {
		binary.LittleEndian.PutUint64(dst, 1)
		binary.LittleEndian.PutUint64(dst[8:], ^uint64(1))
		binary.LittleEndian.PutUint64(dst[16:], 1<<63)
		return 3
	})
	n, err := s.Sample(t.Context(), make([]byte, 24))
	require.NoError(t, err)
	require.Equal(t, 24, n)
}

func TestInstructionContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	s := newInstruction(rdrandInfo, 4, 0, func(dst []byte) int {
		if calls++; calls == 3 {
			cancel()
		}
		return counting(func() int { return 4 })(dst)
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
// of the calls fail then, if both run at once. The assembly's retries and
// Sample's waits bear it, and words stay where they belong. (RDRAND and RDSEED
// share their code.)
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
