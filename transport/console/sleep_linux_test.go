package console

import (
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/internal/xendev/xendevtest"
)

// A Read that waits says so, takes as long as it is made to, and is told of a
// Close.
func TestOnSleep(t *testing.T) {
	w := newFixture(t)
	_, l, f := w.link()
	defer func() { require.NoError(t, l.Close()); require.NoError(t, f.Close()); w.empty() }()
	c := l.Open()
	asleep, awake := make(chan struct{}, 100), 0
	c.OnSleep(func(ended <-chan struct{}) { asleep <- struct{}{}; <-ended }, func() { awake++ })
	read := make(chan error, 1)
	go func() {
		_, err := c.Read(make([]byte, 8))
		read <- err
	}()
	select {
	case <-asleep:
	case <-w.ctx.Done():
		t.Fatal("it does not say that it sleeps")
	}
	require.NoError(t, c.SetReadDeadline(past))
	require.Empty(t, read, "it is held up")
	require.NoError(t, c.Close())
	require.ErrorIs(t, <-read, net.ErrClosed)
	require.Equal(t, 1, awake)
}

// A guest that sends its bytes one by one, with an event each, is listened to
// no oftener than it may be. Each event that is taken is unmasked once.
func TestListeningIsBounded(t *testing.T) {
	w := newFixture(t)
	var unmasked atomic.Int64
	w.cfg.System.(*xendevtest.Process).Fault = func(call string) error {
		if call == "write" { // evtchn.h: a port that is written is unmasked
			unmasked.Add(1)
		}
		return nil
	}
	_, l, f := w.link()
	c := l.Open()
	read := make(chan struct{})
	go func() {
		defer close(read)
		for p := make([]byte, 1); ; {
			if _, err := c.Read(p); err != nil {
				return
			}
		}
	}()
	begin := time.Now()
	for time.Since(begin) < 2*time.Second {
		_, err := f.Write([]byte{'x'})
		require.NoError(t, err)
		f.Notify()
	}
	taken, elapsed := unmasked.Load(), time.Since(begin)
	t.Logf("%d in %v", taken, elapsed)
	require.NotZero(t, taken)
	require.LessOrEqual(t, float64(taken), eventBurst+eventRate*elapsed.Seconds()+2)
	require.NoError(t, l.Close()) // which a pause does not hold up
	<-read
	require.NoError(t, f.Close())
	w.empty()
}
