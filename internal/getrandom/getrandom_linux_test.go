package getrandom

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/xentropyd/xentropyd/internal/seccomptest"
)

func TestRead(t *testing.T) {
	c := caller{call: system}
	seen := make(map[[16]byte]bool)
	for range 3 {
		var b [16]byte
		n, err := c.read(b[:], unix.GRND_NONBLOCK)
		require.NoError(t, err)
		require.Equal(t, len(b), n)
		seen[b] = true
		require.True(t, c.answers.Load())
	}
	require.Len(t, seen, 3)
	_, err := Read(make([]byte, 8), 1<<20)
	require.ErrorIs(t, err, unix.EINVAL)
	n, err := Read(nil, 0)
	require.NoError(t, err)
	require.Zero(t, n)
}

// TestProbeIsShort: a call that may not return has a buffer of its own, of at
// most 256 bytes; later ones have the reader's.
func TestProbeIsShort(t *testing.T) {
	var lengths []int
	var first []byte
	c := caller{call: func(p []byte, flags int) (int, error) {
		require.Equal(t, 7, flags)
		lengths = append(lengths, len(p))
		if first == nil {
			first = p
		}
		for i := range p {
			p[i] = 0xa5
		}
		return len(p), nil
	}}
	p := make([]byte, probe+1)
	n, err := c.read(p, 7)
	require.NoError(t, err)
	require.Equal(t, probe, n)
	require.EqualValues(t, 0xa5, p[probe-1])
	require.Zero(t, p[probe])
	require.Equal(t, make([]byte, probe), first, "wiped")
	n, err = c.read(p, 7)
	require.NoError(t, err)
	require.Equal(t, probe+1, n)
	require.Equal(t, []int{probe, probe + 1}, lengths)
}

// TestFailureIsNoAnswerToRelyOn: what refuses one call may be silent to the
// next, with other flags for instance.
func TestFailureIsNoAnswerToRelyOn(t *testing.T) {
	c := caller{call: func([]byte, int) (int, error) { return 0, unix.EAGAIN }}
	_, err := c.read(make([]byte, 8), 0)
	require.ErrorIs(t, err, unix.EAGAIN)
	require.False(t, c.answers.Load())
}

// TestNoAnswer: the first call is given up after its time, the next ones at
// once, and there is never more than one; when it returns after all, its bytes
// are wiped and go nowhere, and the next call tries again.
func TestNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := make(chan struct{})
		var calls atomic.Int32
		var buffer []byte
		c := caller{call: func(p []byte, _ int) (int, error) {
			if calls.Add(1) == 1 {
				buffer = p
				<-answer
			}
			for i := range p {
				p[i] = 0xa5
			}
			return len(p), nil
		}}
		start := time.Now()
		p := make([]byte, 32)
		n, err := c.read(p, 0)
		require.ErrorIs(t, err, ErrNoAnswer)
		require.Zero(t, n)
		require.Equal(t, Patience, time.Since(start))
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				_, err := c.read(make([]byte, 32), 0)
				assert.ErrorIs(t, err, ErrNoAnswer)
			})
		}
		wg.Wait()
		require.Equal(t, Patience, time.Since(start), "at once")
		require.EqualValues(t, 1, calls.Load())
		close(answer)
		synctest.Wait()
		require.Equal(t, make([]byte, 32), p, "nobody's any more")
		require.Equal(t, make([]byte, 32), buffer, "wiped")
		n, err = c.read(p, 0)
		require.NoError(t, err)
		require.Equal(t, 32, n)
		require.EqualValues(t, 0xa5, p[31])
	})
}

// TestManyAtOnce: those who come while the first call is under way wait for
// that one and make none of their own.
func TestManyAtOnce(t *testing.T) {
	answer := make(chan struct{})
	var calls atomic.Int32
	c := caller{call: func([]byte, int) (int, error) { calls.Add(1); <-answer; return 0, unix.EPERM }}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			_, err := c.read(make([]byte, 32), 0)
			assert.ErrorIs(t, err, ErrNoAnswer)
		})
	}
	wg.Wait()
	require.EqualValues(t, 1, calls.Load())
	close(answer)
	<-c.pending
}

// TestSilentKernel is the same for real.
func TestSilentKernel(t *testing.T) {
	if !seccomptest.SilentChild(t, unix.SYS_GETRANDOM) {
		return
	}
	for range 3 {
		_, err := Read(make([]byte, 8), unix.GRND_NONBLOCK)
		require.ErrorIs(t, err, ErrNoAnswer)
	}
}

func BenchmarkRead(b *testing.B) {
	p := make([]byte, 32)
	for b.Loop() {
		if _, err := Read(p, unix.GRND_NONBLOCK); err != nil {
			b.Fatal(err)
		}
	}
}
