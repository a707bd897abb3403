package xendev

import (
	"errors"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// stuck is a System whose unbinding never comes back, as that of a thread that
// the kernel has ended.
type stuck struct {
	script
	release chan struct{}
}

func (s *stuck) Ioctl(fd int, request uint32, arg []byte) (int, error) {
	if request == reqUnbind {
		<-s.release
	}
	return s.script.Ioctl(fd, request, arg)
}

// A call that does not come back is given up after a while, and the process
// learns of it; nobody waits for it longer.
func TestLostCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lost.c, lost.once = make(chan struct{}), sync.Once{} // of this bubble
		s := &stuck{release: make(chan struct{})}
		defer close(s.release)
		e, err := OpenEvtchn(s)
		require.NoError(t, err)
		port, err := e.BindUnbound(7)
		require.NoError(t, err)
		began := time.Now()
		require.ErrorIs(t, e.Unbind(port), ErrLost)
		require.Equal(t, lostWait*lostWaits, time.Since(began))
		select {
		case <-Lost():
		default:
			t.Fatal("nobody was told")
		}
		require.NoError(t, e.Notify(port), "what is not lost goes on")
	})
}

// A clock that jumps, as a paused domain's does, uses up one wait.
func TestSlowCallIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		want := errors.New("slow")
		require.ErrorIs(t, bounded(func() error {
			time.Sleep(lostWait*lostWaits - time.Second)
			return want
		}), want)
		require.NoError(t, bounded(func() error { return nil }))
		require.ErrorIs(t, bounded(func() error { return syscall.EINVAL }), syscall.EINVAL)
	})
}
