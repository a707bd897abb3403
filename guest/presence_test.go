package guest

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/protocol"
)

// A host that is away for an hour is said to be once, and once that it is back.
func TestHostAwayIsSaidOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log lines
		h := newHosts(t)
		o := open(t, h.dial, Options{Sources: none, Log: log.logger(), MaxPause: 10 * time.Second})
		e := h.greet(1, 1)
		e.seed(first)
		g := o.wait(t)
		defer g.Close()
		time.Sleep(2 * steady)
		require.Len(t, log.with("connected to host"), 1)
		require.Empty(t, log.with("away"))
		h.mu.Lock()
		h.refuse = errors.New("connection refused")
		h.mu.Unlock()
		e.conn.Close()
		time.Sleep(time.Hour)
		synctest.Wait()
		require.Len(t, log.with("level=WARN msg=\"host is away"), 1)
		require.Greater(t, len(log.with("level=DEBUG msg=\"host is still away")), 3600/15)
		h.mu.Lock()
		h.refuse = nil
		h.mu.Unlock()
		h.greet(1, 1).seed(first)
		synctest.Wait()
		require.Len(t, log.with("connected to host"), 2)
		require.Len(t, log.with("level=WARN"), 1)
	})
}

func TestPresence(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var p presence
		require.True(t, p.news(false), "the first is news either way")
		require.False(t, p.news(false))
		require.True(t, p.news(true))
		require.True(t, p.news(false))
		require.True(t, p.news(true))
		require.False(t, p.news(false), "that is enough of this host for a while")
		time.Sleep(presenceSpan - 1)
		require.False(t, p.news(false))
		time.Sleep(time.Nanosecond)
		require.True(t, p.news(false), "but what is so at last is said")
		require.False(t, p.news(false))
	})
	bubble(t, func(t *testing.T) {
		var p presence
		said := 0
		for i := range 36000 { // an hour
			if p.news(i%2 == 0) {
				said++
			}
			time.Sleep(100 * time.Millisecond)
		}
		require.LessOrEqual(t, said, (60+1)*presenceLines)
		require.GreaterOrEqual(t, said, 60*presenceLines/2)
	})
}

// A host that welcomes and then closes is asked less and less often, unless it
// gave something.
func TestBackOffFromAHostThatOnlyWelcomes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHosts(t)
		o := open(t, h.dial, Options{Sources: none, MaxPause: 10 * time.Second})
		began := time.Now()
		for range 14 {
			h.greet(1, 1).conn.Close()
		}
		require.Greater(t, time.Since(began), 15*time.Second,
			"half of 5 ms, 10 ms and so on up to 10 s, and that again")
		e := h.greet(1, 1)
		e.seed(first)
		g := o.wait(t)
		defer g.Close()
		e.conn.Close()
		began = time.Now()
		h.greet(1, 1)
		require.Less(t, time.Since(began), 2*minPause)
	})
}

// However a host refuses, a caller that asks in a loop asks it no more than
// once a second, and gives up no later than it wants to.
func TestRefusalsKeepRefreshFromALoop(t *testing.T) {
	for name, c := range map[string]struct{ said, wait time.Duration }{
		"no time":         {0, refusalMax},
		"too little time": {time.Millisecond, refusalMin},
		"just enough":     {refusalMin, refusalMin},
		"some time":       {5 * time.Second, 5 * time.Second},
		"three weeks":     {1 << 31 * time.Millisecond, refusalMax},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				h := newHosts(t)
				o := open(t, h.dial, Options{Sources: none})
				e := h.greet(1, 1)
				e.seed(first)
				g := o.wait(t)
				defer g.Close()
				done := make(chan struct{})
				go func() {
					defer close(done)
					for range 5 {
						assert.ErrorContains(t, g.Refresh(t.Context()), "host refused a seed")
					}
				}()
				began := time.Now()
				e.conn.SetReadDeadline(time.Time{})
				for i := range 5 {
					m := e.next()
					for ; m.Type() != protocol.TypeRequest; m = e.next() {
						require.Equal(t, protocol.TypePong, m.Type())
					}
					require.Equal(t, time.Duration(i)*c.wait, time.Since(began))
					id := m.(protocol.Request).ID
					e.send(protocol.Refusal{Request: id, Reason: protocol.RefusedBudget, RetryAfter: c.said})
				}
				<-done
				require.EqualValues(t, 5, g.Status().Host.Refused)

				// A caller's own patience ends the wait, and so does the
				// session's end.
				ctx, cancel := context.WithTimeout(t.Context(), c.wait/2)
				defer cancel()
				require.ErrorIs(t, g.Refresh(ctx), ctx.Err())
				lost := make(chan error)
				go func() { lost <- g.Refresh(t.Context()) }()
				synctest.Wait()
				e.conn.Close()
				require.ErrorContains(t, <-lost, "connection was lost")
			})
		})
	}
}

// A refusal of the host's own push keeps nobody from asking.
func TestRefusedPushDelaysNoRefresh(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHosts(t)
		o := open(t, h.dial, Options{Sources: none})
		e := h.greet(1, 1)
		e.seed(first)
		g := o.wait(t)
		defer g.Close()
		e.send(protocol.Refusal{Reason: protocol.RefusedBudget, RetryAfter: time.Hour})
		began := time.Now()
		answer := make(chan error)
		go func() { answer <- g.Refresh(t.Context()) }()
		r := e.next().(protocol.Request)
		require.Zero(t, time.Since(began))
		e.seed(protocol.Seed{Generation: 1, Reason: protocol.ReasonRequest, Request: r.ID})
		require.NoError(t, <-answer)
	})
}

func TestAgeOfTheLastSeed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHosts(t)
		o := open(t, h.dial, Options{Sources: goodSource()})
		g := o.wait(t)
		defer g.Close()
		require.Nil(t, g.Status().Host.LastSeedAge)
		e := h.greet(1, 1)
		e.seed(first)
		require.Equal(t, 0., *g.Status().Host.LastSeedAge)
		time.Sleep(90 * time.Second)
		require.Equal(t, 90., *g.Status().Host.LastSeedAge)
	})
}
