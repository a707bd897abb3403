package host

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/protocol"
)

// costly is a thread's clock on which each stretch of work takes so much.
func costly(step time.Duration) func() time.Duration {
	var looks atomic.Int64
	return func() time.Duration { return time.Duration(looks.Add(1)) * step }
}

// quiet is a configuration in which the host does nothing by itself, and frames
// are free.
func quiet() Config {
	return with(func(c *Config) {
		c.Limits.FramesPerSecond = 1e6
		c.Seed.Interval = time.Hour
		c.Times.KeepAlive = time.Hour
	})
}

// dribble sends n bytes of frames one by one.
func (c *client) dribble(n int) {
	c.Helper()
	var stream []byte
	for len(stream) < n {
		stream = c.proto.Append(stream, protocol.Pong{})
	}
	for i := range stream {
		_, err := c.conn.Write(stream[i : i+1])
		require.NoError(c, err)
	}
}

// What a guest sends byte by byte costs work for each of them, and is held to
// the guest's share, whatever session it comes in.
func TestCPUTimeIsBounded(t *testing.T) {
	serveOn(t, quiet(), costly(time.Millisecond), func(b *bench) {
		begin := time.Now()
		c := b.join("a")
		c.seed()
		c.dribble(3000)
		g := b.guest("a")
		require.Greater(t, g.CPU, 2.5)
		bound := func() float64 { return 0.5 + 0.05*time.Since(begin).Seconds() + 0.05 }
		require.Less(t, g.CPU, bound())
		require.NotZero(t, g.Slowed)
		require.True(t, g.Connected, "it breaks no rule")

		c.conn.Close()
		synctest.Wait()
		c = b.join("a")
		c.seed()
		c.dribble(300)
		again := b.guest("a")
		require.Greater(t, again.CPU, g.CPU+0.25, "the counter goes on")
		require.Less(t, again.CPU, bound(), "and there is no new burst")
	})
}

// Those who come under ever new names use up what their group has.
func TestCPUTimeOfAGroupIsBounded(t *testing.T) {
	cfg := quiet()
	cfg.Limits.NewSessionsPerSecond = 1e6
	serveOn(t, cfg, costly(time.Millisecond), func(b *bench) {
		begin, used := time.Now(), 0.0
		for i := range 20 {
			id := fmt.Sprint("guest ", i)
			c := b.join(id)
			c.seed()
			c.dribble(300)
			used += b.guest(id).CPU
			c.conn.Close()
		}
		require.Greater(t, used, 6.0)
		require.Less(t, used, 2+0.2*time.Since(begin).Seconds()+0.2)
	})
}

func TestGuestThatBehavesIsNotSlowedDown(t *testing.T) {
	serveOn(t, DefaultConfig(), costly(time.Millisecond), func(b *bench) {
		c := b.join("a")
		for seeds := 0; seeds < 100; {
			switch m := c.next().(type) {
			case protocol.Seed:
				seeds++
				c.send(protocol.Ack{
					Sequence: m.Sequence, Generation: m.Generation,
					Outcomes: []protocol.Outcome{{Target: protocol.TargetLibrary, OK: true}},
				})
			case protocol.Ping:
				c.send(protocol.Pong(m))
			}
		}
		g := b.guest("a")
		require.Zero(t, g.Slowed)
		require.Greater(t, g.CPU, 0.2)
	})
}

// A guest deep in debt, with frames that break no rule, is heard again after
// longPause at the latest, each time.
func TestPausesAreBounded(t *testing.T) {
	var dear atomic.Bool
	clock := costly(time.Millisecond)
	var extra atomic.Int64
	threadTime := func() time.Duration {
		if dear.Load() {
			extra.Add(int64(10 * time.Second))
		}
		return clock() + time.Duration(extra.Load())
	}
	serveOn(t, quiet(), threadTime, func(b *bench) {
		bad := b.join("bad")
		bad.seed()
		dear.Store(true)
		frame := bad.proto.Append(nil, protocol.Pong{})
		_, err := bad.conn.Write(frame)
		require.NoError(t, err)
		synctest.Wait()   // or the session looks at its clock too late
		dear.Store(false) // 10 s of CPU time are owed at least: more than 3 minutes at 5 %
		longest := time.Duration(0)
		for range 10 {
			before := time.Now()
			_, err := bad.conn.Write(bad.proto.Append(nil, protocol.Pong{}))
			require.NoError(t, err)
			longest = max(longest, time.Since(before))
		}
		require.LessOrEqual(t, longest, 2*longPause, "one before its read, one when it sleeps")
		require.Greater(t, longest, longPause/2)
		require.NotZero(t, b.guest("bad").Slowed)
		require.True(t, b.guest("bad").Connected, "it breaks no rule")
	})
}

// A guest that is being held up does not hold up the end.
func TestEndInterruptsAPause(t *testing.T) {
	serveOn(t, quiet(), costly(time.Millisecond), func(b *bench) {
		c := b.join("a")
		c.seed()
		go func() { // until the end
			for frame := c.proto.Append(nil, protocol.Pong{}); ; {
				if _, err := c.conn.Write(frame[:1]); err != nil {
					return
				}
				frame = append(frame[1:], frame[0])
			}
		}()
		go func() {
			for {
				if _, err := c.decoder.Next(); err != nil {
					return
				}
			}
		}()
		synctest.Wait() // nobody can go on but by time: it is in a pause
		require.NotZero(t, b.guest("a").Slowed)
		before := time.Now()
		b.stop()
		require.Less(t, time.Since(before), shortPause)
	})
}
