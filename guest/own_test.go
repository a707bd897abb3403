package guest

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// The own sources of the machine let the host go first, and come by themselves
// after its seed or without it.
func TestOwnSourcesComeAfterTheHost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHosts(t)
		o := open(t, h.dial, Options{})
		e := h.greet(1, 1)
		time.Sleep(ownDelay / 2)
		e.seed(first)
		g := o.wait(t)
		defer g.Close()
		require.Empty(t, g.Status().Own.Sources)
		time.Sleep(ownMoment)
		synctest.Wait()
		require.NotEmpty(t, g.Status().Own.Sources)
	})
	bubble(t, func(t *testing.T) {
		h := newHosts(t)
		h.refuse = errors.New("connection refused")
		done := make(chan struct{})
		var began atomic.Bool
		go func() {
			defer close(done)
			_, _ = Open(t.Context(), h.dial, Options{Notify: func(s Status) {
				if len(s.Own.Sources) > 0 {
					began.Store(true)
				}
			}, MaxPause: time.Millisecond})
		}()
		time.Sleep(ownDelay + ownMoment - 1)
		synctest.Wait()
		require.False(t, began.Load())
		time.Sleep(2 * ownMoment)
		synctest.Wait()
		require.True(t, began.Load())
	})
}
