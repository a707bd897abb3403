package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/internal/age"
	"github.com/xentropyd/xentropyd/protocol"
	"github.com/xentropyd/xentropyd/transport"
)

func TestFirstSeedComesAtOnce(t *testing.T) {
	serve(t, DefaultConfig(), func(b *bench) {
		start := time.Now()
		c := b.join("a")
		require.Equal(t, uint32(1024), c.welcome.BudgetBytes)
		require.Equal(t, time.Minute, c.welcome.BudgetPeriod)
		s := c.seed()
		require.Equal(t, protocol.ReasonConnect, s.Reason)
		require.Len(t, s.Payload, 64)
		require.EqualValues(t, 256, s.Credit)
		require.Zero(t, time.Since(start))

		g := b.guest("a")
		require.True(t, g.Connected)
		require.True(t, g.Seeded)
		require.EqualValues(t, 1, g.Acknowledged)
		require.EqualValues(t, 64, g.Bytes)
		require.Equal(t, "label of a", g.Label)
		require.Equal(t, 1024-64, g.BudgetLeft)
	})
}

func TestSeedNotAcknowledgedIsNotCalledSeeded(t *testing.T) {
	serve(t, DefaultConfig(), func(b *bench) {
		c := b.join("a")
		s := c.next().(protocol.Seed)
		require.False(t, b.guest("a").Seeded)
		c.send(protocol.Ack{Sequence: s.Sequence, Generation: s.Generation, Outcomes: []protocol.Outcome{
			{Target: protocol.TargetLibrary, Detail: "out of order"},
			{Target: protocol.TargetKernel, Detail: "not permitted"},
		}})
		g := b.guest("a")
		require.False(t, g.Seeded)
		require.EqualValues(t, 2, g.Failures)
		require.Equal(t, "kernel: not permitted", g.LastFailure)
		require.Zero(t, g.KernelGeneration)
		require.Zero(t, g.LastKernelAck)
		require.Zero(t, g.Generation, "the generation was not acknowledged in full")
	})
}

// The library of a guest may be of the new generation before its kernel is:
// each is said for itself.
func TestKernelIsSaidForItself(t *testing.T) {
	serve(t, with(func(c *Config) {
		c.Seed.Interval = time.Hour
		c.Times.KeepAlive = time.Hour
	}), func(b *bench) {
		c := b.join("a")
		s := c.next().(protocol.Seed)
		ack := func(kernel bool) {
			c.send(protocol.Ack{Sequence: s.Sequence, Generation: s.Generation, Outcomes: []protocol.Outcome{
				{Target: protocol.TargetLibrary, OK: true, Credit: 256},
				{Target: protocol.TargetKernel, OK: kernel, Credit: 256},
			}})
		}
		ack(true)
		g := b.guest("a")
		require.Equal(t, s.Generation, g.KernelGeneration)
		require.Equal(t, age.Of(0), g.LastKernelAck)
		time.Sleep(time.Second)
		b.server.NewGeneration()
		s = c.next().(protocol.Seed)
		ack(false)
		g = b.guest("a")
		require.True(t, g.Seeded)
		require.Equal(t, s.Generation, g.CurrentGeneration)
		require.Less(t, g.KernelGeneration, s.Generation)
		require.Equal(t, age.Of(time.Second), g.LastKernelAck)
	})
}

func TestPushesComeWithJitterForEver(t *testing.T) {
	serve(t, with(func(c *Config) {
		c.Seed.Interval = 40 * time.Second
		c.Times.KeepAlive = 10 * time.Minute
	}), func(b *bench) {
		c := b.join("a")
		c.seed()
		distinct := map[time.Duration]bool{}
		for range 50 {
			before := time.Now()
			s := c.seed()
			require.Equal(t, protocol.ReasonPeriodic, s.Reason)
			gap := time.Since(before)
			require.GreaterOrEqual(t, gap, 30*time.Second)
			require.LessOrEqual(t, gap, 50*time.Second)
			distinct[gap] = true
		}
		require.Greater(t, len(distinct), 25)
	})
}

func TestRequestsSpendTheBudget(t *testing.T) {
	serve(t, with(func(c *Config) {
		c.Budget = Budget{1000, 100 * time.Second}
		c.Seed.Interval = time.Hour
		c.Times.KeepAlive = time.Hour
	}), func(b *bench) {
		c := b.join("a")
		c.seed() // 64
		c.send(protocol.Request{ID: 1, Bytes: 900})
		s := c.seed()
		require.EqualValues(t, 1, s.Request)
		require.Len(t, s.Payload, 900)
		require.EqualValues(t, 256, s.Credit, "no more than the generator's strength")

		c.send(protocol.Request{ID: 2, Bytes: 56}) // 36 are left, 10 come each second
		r := c.next().(protocol.Refusal)
		require.Equal(t, protocol.Refusal{Request: 2, Reason: protocol.RefusedBudget, RetryAfter: 2 * time.Second}, r)
		time.Sleep(r.RetryAfter - 100*time.Millisecond)
		c.send(protocol.Request{ID: 3, Bytes: 56})
		require.Equal(t, protocol.RefusedBudget, c.next().(protocol.Refusal).Reason, "just before")
		time.Sleep(100 * time.Millisecond)
		c.send(protocol.Request{ID: 4, Bytes: 56})
		require.EqualValues(t, 4, c.seed().Request, "at the time that the refusal named")

		c.send(protocol.Request{ID: 5, Bytes: 1001})
		require.Equal(t, protocol.Refusal{Request: 5, Reason: protocol.RefusedTooLarge}, c.next())
		require.EqualValues(t, 3, b.guest("a").Refused)
	})
}

func TestBudgetOutlivesTheSession(t *testing.T) {
	serve(t, with(func(c *Config) {
		c.Budget = Budget{128, time.Hour}
		c.Seed.Bytes = 64
		c.Times.KeepAlive = time.Hour
	}), func(b *bench) {
		for range 2 {
			c := b.join("a")
			c.seed()
			c.conn.Close()
		}
		c := b.join("a")
		r := c.next().(protocol.Refusal)
		require.Equal(t, protocol.RefusedBudget, r.Reason)
		require.Zero(t, r.Request)
		before := time.Now()
		require.Equal(t, protocol.ReasonConnect, c.seed().Reason, "pushed when the budget allows")
		require.InDelta(t, r.RetryAfter.Seconds(), time.Since(before).Seconds(), 1)
		require.EqualValues(t, 2, b.guest("a").Reconnects)
		b.join("b").seed() // another guest has a budget of its own
	})
}

func TestBudgetOfOneGuest(t *testing.T) {
	own := func(p transport.Peer) (Budget, string) {
		if p.ID == "big" {
			return Budget{4096, time.Second}, "big"
		}
		return Budget{}, ""
	}
	serve(t, with(func(c *Config) { c.BudgetFor = own }), func(b *bench) {
		require.EqualValues(t, 4096, b.join("big").welcome.BudgetBytes)
		require.EqualValues(t, 1024, b.join("small").welcome.BudgetBytes)
	})
}

func TestUnseededHostGivesNothingThenAtOnce(t *testing.T) {
	serve(t, DefaultConfig(), func(b *bench) {
		b.drawer.fail(ErrNotSeeded)
		c := b.join("a")
		require.Equal(t, protocol.RefusedUnseeded, c.next().(protocol.Refusal).Reason)
		c.send(protocol.Request{ID: 9, Bytes: 32})
		require.EqualValues(t, 9, c.next().(protocol.Refusal).Request)
		require.Equal(t, 1024, b.guest("a").BudgetLeft, "nothing was spent")
		b.drawer.fail(nil)
		before := time.Now()
		b.server.kick(everybody) // as Run does when Ready
		require.Equal(t, protocol.ReasonConnect, c.seed().Reason)
		require.Zero(t, time.Since(before))
	})
}

func TestStoppedAndDegradedHost(t *testing.T) {
	serve(t, DefaultConfig(), func(b *bench) {
		b.drawer.fail(ErrStopped)
		c := b.join("a")
		require.Equal(t, protocol.RefusedStopped, c.next().(protocol.Refusal).Reason)
		b.drawer.degrade()
		require.Zero(t, c.seed().Credit)
		require.True(t, b.join("b").welcome.Degraded)
	})
}

func TestNewGenerationReachesEveryGuest(t *testing.T) {
	serve(t, with(func(c *Config) {
		c.Budget = Budget{64, time.Hour}
		c.Times.KeepAlive = time.Hour
	}), func(b *bench) {
		clients := []*client{b.join("a"), b.join("b")}
		for _, c := range clients {
			require.Equal(t, c.welcome.Generation, c.seed().Generation)
		}
		require.NotEqual(t, clients[0].welcome.Generation, clients[1].welcome.Generation,
			"no two guests share a number")
		before := time.Now()
		generation := b.server.NewGeneration()
		for _, c := range clients {
			s := c.seed()
			require.Equal(t, protocol.ReasonGeneration, s.Reason, "although the budget is spent")
			require.Equal(t, generation, s.Generation)
			require.Zero(t, time.Since(before))
		}
		require.Equal(t, generation, b.guest("a").Generation)
		require.Equal(t, generation, b.guest("a").CurrentGeneration)
		require.Greater(t, b.join("c").welcome.Generation, generation)
	})
}

func TestNewGenerationForOneGuest(t *testing.T) {
	serve(t, with(func(c *Config) { c.Times.KeepAlive = time.Hour }), func(b *bench) {
		a, other := b.join("a"), b.join("b")
		a.seed()
		other.seed()
		generation, ok := b.server.NewGenerationFor("a")
		require.True(t, ok)
		require.Equal(t, generation, a.seed().Generation)
		other.silent(10 * time.Second)
		_, ok = b.server.NewGenerationFor("nobody")
		require.False(t, ok)
	})
}

func TestGenerationBelongsToTheIncarnation(t *testing.T) {
	serve(t, DefaultConfig(), func(b *bench) {
		join := func(id, incarnation string) uint64 {
			b.incarnation = incarnation
			c := b.join(id)
			c.seed()
			c.conn.Close()
			synctest.Wait()
			return c.welcome.Generation
		}
		first := join("a", "domain 1")
		require.Equal(t, first, join("a", "domain 1"), "a reconnect")
		restored := join("a", "domain 2")
		require.Greater(t, restored, first, "the same guest, restored")
		require.Greater(t, join("clone", "domain 3"), restored, "its clone under another name")
	})
}

func TestGenerationWaitsForASeededHost(t *testing.T) {
	serve(t, with(func(c *Config) { c.Times.KeepAlive = time.Hour }), func(b *bench) {
		c := b.join("a")
		c.seed()
		b.drawer.fail(ErrStopped)
		b.server.NewGeneration()
		for range 10 {
			before := time.Now()
			require.Equal(t, protocol.Refusal{Reason: protocol.RefusedStopped, RetryAfter: unseededRetry}, c.next())
			require.LessOrEqual(t, time.Since(before), unseededRetry)
		}
		b.drawer.fail(nil)
		require.Equal(t, protocol.ReasonGeneration, c.seed().Reason)
	})
}

func TestHandshakeIsBounded(t *testing.T) {
	for name, sent := range map[string]string{
		"nothing": "", "part of a hello": "\x01\x00\x00",
		"part of protocol 1": "Hello, may",
	} {
		t.Run(name, func(t *testing.T) {
			serve(t, DefaultConfig(), func(b *bench) {
				before := time.Now()
				conn := b.connect("a")
				io.WriteString(conn, sent)
				_, err := conn.Read(make([]byte, 1))
				require.ErrorIs(t, err, io.EOF)
				require.Equal(t, 5*time.Second, time.Since(before))
				require.Equal(t, "no hello within 5s", b.guest("a").LastError)
				require.False(t, b.guest("a").Connected)
			})
		})
	}
}

func TestSilentGuestIsPingedThenGivenUp(t *testing.T) {
	serve(t, with(func(c *Config) {
		c.Seed.Interval = time.Hour
		c.Times.KeepAlive = 20 * time.Second
	}), func(b *bench) {
		c := b.join("a")
		c.seed()
		for range 5 {
			c.send(protocol.Pong(c.next().(protocol.Ping)))
		}
		before := time.Now()
		c.next() // ping
		c.next() // ping
		c.ended(protocol.CloseTimeout)
		require.Equal(t, time.Minute, time.Since(before))
	})
}

// A guest that was paused answers when it runs on.
func TestGuestThatStoodStillIsSeeded(t *testing.T) {
	serve(t, with(func(c *Config) {
		c.Seed.Interval = time.Hour
		c.Times.KeepAlive = 20 * time.Second
	}), func(b *bench) {
		c := b.join("a")
		c.seed()
		ping := c.next().(protocol.Ping)
		time.Sleep(standstill - time.Millisecond)
		c.send(protocol.Pong(ping))
		ping = c.next().(protocol.Ping) // in time: nothing else comes
		again := c.next().(protocol.Ping)
		time.Sleep(standstill)
		before := time.Now()
		c.send(protocol.Pong(ping))
		require.Equal(t, protocol.ReasonPeriodic, c.seed().Reason)
		require.Zero(t, time.Since(before))
		c.send(protocol.Pong(again))
		c.send(protocol.Pong(c.next().(protocol.Ping)))
	})
}

func TestSmallRequestsCostAsMuchAsASeed(t *testing.T) {
	serve(t, with(func(c *Config) {
		c.Budget = Budget{128, time.Hour}
		c.Seed.Bytes = 64
		c.Seed.Interval = time.Hour
		c.Times.KeepAlive = time.Hour
	}), func(b *bench) {
		c := b.join("a")
		c.seed()
		for id := range uint32(2) {
			c.send(protocol.Request{ID: id + 1, Bytes: 8})
			require.Len(t, c.seed().Payload, 8)
		}
		require.Zero(t, b.guest("a").BudgetLeft)
		c.send(protocol.Request{ID: 3, Bytes: 8})
		require.Equal(t, protocol.RefusedBudget, c.next().(protocol.Refusal).Reason)
	})
}

func TestGuestMayPing(t *testing.T) {
	serve(t, DefaultConfig(), func(b *bench) {
		c := b.join("a")
		c.seed()
		c.send(protocol.Ping{Token: 77})
		require.Equal(t, protocol.Pong{Token: 77}, c.next())
	})
}

// An operator who renews once a clone begins two hundred generations before a
// slow guest has answered the first of them.
func TestManyGenerationsUnacknowledgedEndNoSession(t *testing.T) {
	serve(t, with(func(c *Config) {
		c.Times.KeepAlive = time.Hour
		c.Seed.Interval = time.Hour
	}), func(b *bench) {
		c := b.join("a")
		c.seed()
		var seeds []protocol.Seed
		for range 200 {
			b.server.NewGeneration()
			seeds = append(seeds, c.next().(protocol.Seed))
		}
		for _, s := range seeds {
			c.send(protocol.Ack{Sequence: s.Sequence, Generation: s.Generation, Outcomes: []protocol.Outcome{
				{Target: protocol.TargetLibrary, OK: true, Credit: s.Credit},
				{Target: protocol.TargetKernel, OK: true, Credit: s.Credit},
			}})
		}
		c.send(protocol.Ping{Token: 1})
		require.Equal(t, protocol.Pong{Token: 1}, c.next())
		g := b.guest("a")
		require.True(t, g.Connected)
		require.Zero(t, g.Violations)
		require.Equal(t, seeds[199].Generation, g.Generation)
		require.EqualValues(t, 1+32, g.Acknowledged, "of the others nobody knows whether they were counted")
		require.EqualValues(t, 32*256, g.KernelCreditedBits)
	})
}

func TestRuleBreakerLosesItsSessionOnly(t *testing.T) {
	serve(t, with(func(c *Config) { c.Times.KeepAlive = time.Hour }), func(b *bench) {
		good, bad := b.join("good"), b.join("bad")
		good.seed()
		bad.seed()
		bad.send(protocol.Ack{Sequence: 99})
		text := bad.ended(protocol.CloseProtocol).Text
		require.Contains(t, text, "was not sent")
		g := b.guest("bad")
		require.EqualValues(t, 1, g.Violations)
		require.False(t, g.Connected)
		require.Contains(t, g.LastError, "was not sent")
		good.seed()
		require.Zero(t, b.guest("good").Violations)
	})
}

func TestUnknownVersionIsTold(t *testing.T) {
	serve(t, DefaultConfig(), func(b *bench) {
		c := &client{bench: b, conn: b.connect("a"), proto: protocol.NewGuest(protocol.Hello{})}
		c.decoder = protocol.NewGuestDecoder(c.conn)
		hello := c.proto.AppendHello(nil)
		hello[protocol.HeaderSize+8], hello[protocol.HeaderSize+9] = 3, 4
		c.conn.Write(hello)
		c.ended(protocol.CloseVersion)
	})
}

func TestGuestThatTakesNothingIsGivenUp(t *testing.T) {
	serve(t, DefaultConfig(), func(b *bench) {
		b.hello("a")
		time.Sleep(5*time.Second + time.Millisecond)
		g := b.guest("a")
		require.False(t, g.Connected)
		require.Contains(t, g.LastError, "did not take")
		require.Zero(t, g.Seeds, "what was not delivered is not counted")
	})
}

func TestFloodingGuestIsSlowedDown(t *testing.T) {
	serve(t, with(func(c *Config) {
		c.Limits.FramesPerSecond = 10
		c.Seed.Interval = time.Hour
		c.Times.KeepAlive = time.Hour
	}), func(b *bench) {
		c := b.join("a")
		c.seed()
		before := time.Now()
		for range 120 { // 20 at once, then 10 a second
			c.send(protocol.Pong{})
		}
		require.GreaterOrEqual(t, time.Since(before), 9*time.Second)
		g := b.guest("a")
		require.Greater(t, g.Slowed, uint64(90))
		require.True(t, g.Connected)
	})
}

func TestLimitOnSessionsOfAGroup(t *testing.T) {
	serve(t, with(func(c *Config) {
		c.Limits.SessionsPerGroup = 3
		c.Limits.NewSessionsPerSecond = 1000
	}), func(b *bench) {
		var first *client
		for i := range 3 {
			c := b.join(fmt.Sprint(i))
			c.seed()
			if first == nil {
				first = c
			}
		}
		time.Sleep(time.Second) // or it is the rate
		text := b.hello("one too many").ended(protocol.CloseLimit).Text
		require.Equal(t, "3 sessions of group at most", text)
		first.conn.Close()
		time.Sleep(time.Second)
		b.join("fits again").seed()
	})
}

func TestLimitOnSessionsInAll(t *testing.T) {
	serve(t, with(func(c *Config) { c.Limits.Sessions = 2 }), func(b *bench) {
		b.join("a")
		b.join("b")
		require.Contains(t, b.hello("c").ended(protocol.CloseLimit).Text, "2 sessions at most")
	})
}

func TestLimitOnArrivals(t *testing.T) {
	serve(t, with(func(c *Config) {
		c.Limits.SessionsPerGroup = 2
		c.Limits.NewSessionsPerSecond = 1
	}), func(b *bench) {
		for range 2 {
			c := b.join("a")
			c.seed()
			c.conn.Close()
			synctest.Wait()
		}
		require.Contains(t, b.hello("a").ended(protocol.CloseLimit).Text, "too fast")
		time.Sleep(time.Second)
		b.join("a").seed()
	})
}

func TestManyOverTheLimitAreJustClosed(t *testing.T) {
	serve(t, with(func(c *Config) {
		c.Limits.SessionsPerGroup = 1
		c.Times.Handshake = time.Hour
	}), func(b *bench) {
		b.join("a")
		for range maxRefusingGroup {
			b.connect("b")
		}
		synctest.Wait()
		conn := b.connect("c")
		before := time.Now()
		_, err := conn.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
		require.Zero(t, time.Since(before))
		time.Sleep(2 * time.Second)
		require.Equal(t, 1, b.server.Status().Sessions, "those over the limit wait a second at most")
	})
}

func TestShutdownSaysGoodbye(t *testing.T) {
	serve(t, DefaultConfig(), func(b *bench) {
		c := b.join("a")
		c.seed()
		done := make(chan struct{})
		go func() { b.stop(); close(done) }()
		c.ended(protocol.CloseDone)
		<-done
		require.Zero(t, b.server.Status().Sessions)
	})
}

func TestGuestThatGoesIsForgottenInTime(t *testing.T) {
	serve(t, DefaultConfig(), func(b *bench) {
		c := b.join("a")
		c.seed()
		c.send(protocol.Close{Reason: protocol.CloseDone})
		_, err := c.decoder.Next()
		require.ErrorIs(t, err, io.EOF)
		require.Empty(t, b.guest("a").LastError)
		time.Sleep(forgetAfter - time.Second)
		b.server.tidy(time.Now())
		b.guest("a")
		time.Sleep(2 * time.Second)
		b.server.tidy(time.Now())
		require.Empty(t, b.server.Status().Guests)
		require.Empty(t, b.server.groups.all)
	})
}

func TestTableOfGuestsIsBounded(t *testing.T) {
	maxRecords := tableSize(4096)
	g := newGuests(maxRecords)
	now := time.Now()
	keep := g.connect(transport.Peer{ID: "connected"}, new(DefaultConfig()), entry{}, nil)
	for i := range maxRecords + 100 {
		r := g.connect(transport.Peer{ID: fmt.Sprint(i), Group: fmt.Sprint(i)}, new(DefaultConfig()), entry{}, nil)
		g.disconnect(r, now.Add(time.Duration(i)), nil)
	}
	require.LessOrEqual(t, len(g.records), maxRecords)
	require.Len(t, g.gone, len(g.records)-1)
	require.Greater(t, len(g.records), maxRecords*3/4)
	require.Same(t, keep, g.records["connected"])
	require.Nil(t, g.records["0"], "the oldest went first")
	require.NotNil(t, g.records[fmt.Sprint(maxRecords)])
}

// A user who comes and goes under ever new names is remembered by few of them.
func TestGroupIsRememberedByFew(t *testing.T) {
	g := newGuests(16384)
	now := time.Now()
	keep := g.connect(transport.Peer{ID: "connected", Group: "many"}, new(DefaultConfig()), entry{}, nil)
	other := g.connect(transport.Peer{ID: "other", Group: "other"}, new(DefaultConfig()), entry{}, nil)
	g.disconnect(other, now.Add(-time.Hour), nil)
	for i := range 10 * maxGone {
		r := g.connect(transport.Peer{ID: fmt.Sprint(i), Group: "many"}, new(DefaultConfig()), entry{}, nil)
		g.disconnect(r, now.Add(time.Duration(i)), nil)
		require.LessOrEqual(t, len(g.records), maxGone+2)
	}
	require.Same(t, keep, g.records["connected"])
	require.Same(t, other, g.records["other"])
	require.NotNil(t, g.records[fmt.Sprint(10*maxGone-1)], "the newest")
	require.Nil(t, g.records["0"])
	last := g.records[fmt.Sprint(10*maxGone-1)]
	before := g.gone["many"]
	require.Same(t, last, g.connect(last.peer, new(DefaultConfig()), entry{}, nil))
	require.Equal(t, before-1, g.gone["many"])
	g.disconnect(last, now, nil)
	require.Equal(t, before, g.gone["many"])
}

func TestProtocol1(t *testing.T) {
	serve(t, DefaultConfig(), func(b *bench) {
		conn := b.connect("a")
		for _, piece := range []string{"\r\nlogin: Hel", "lo, may I have ", "some entropy?\r", "\n"} {
			_, err := io.WriteString(conn, piece)
			require.NoError(t, err)
		}
		answer := make([]byte, len(protocol.V1Answer))
		_, err := io.ReadFull(conn, answer)
		require.NoError(t, err)
		require.Equal(t, protocol.V1Answer, string(answer))
		start := time.Now()
		for i := range 3 {
			got := make([]byte, 1024)
			_, err := io.ReadFull(conn, got)
			require.NoError(t, err)
			require.Equal(t, time.Duration(i)*time.Minute, time.Since(start), "1,024 bytes, then silence for a minute")
			_, err = io.WriteString(conn, "chatter that is dropped")
			require.NoError(t, err)
		}
		g := b.guest("a")
		require.Equal(t, 1, g.Protocol)
		require.True(t, g.Seeded)
		require.EqualValues(t, 3*1024, g.Bytes)
		require.EqualValues(t, 3, g.Seeds)
	})
}

func TestProtocol1WaitsForASeededHost(t *testing.T) {
	serve(t, DefaultConfig(), func(b *bench) {
		b.drawer.fail(ErrNotSeeded)
		conn := b.connect("a")
		io.WriteString(conn, protocol.V1Request)
		_, err := io.ReadFull(conn, make([]byte, len(protocol.V1Answer)))
		require.NoError(t, err)
		conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		_, err = conn.Read(make([]byte, 1))
		require.Error(t, err, "nothing comes")
		conn.SetReadDeadline(time.Time{})
		b.drawer.fail(nil)
		b.server.kick(everybody)
		_, err = io.ReadFull(conn, make([]byte, 1024))
		require.NoError(t, err)
	})
}

func TestProtocol1CanBeTurnedOff(t *testing.T) {
	serve(t, with(func(c *Config) { c.Protocol1 = false }), func(b *bench) {
		conn := b.connect("a")
		io.WriteString(conn, "H")
		_, err := conn.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
	})
}

func TestProtocol1JunkIsBounded(t *testing.T) {
	serve(t, DefaultConfig(), func(b *bench) {
		conn := b.connect("a")
		_, err := io.WriteString(conn, strings.Repeat("x", 5000))
		require.ErrorIs(t, err, io.ErrClosedPipe)
		require.EqualValues(t, 1, b.guest("a").Violations)
	})
}

// Both ends of every range, and what is just beyond them.
func TestConfigIsChecked(t *testing.T) {
	const ns = time.Nanosecond
	for want, set := range map[string][2]func(c *Config){
		"budget.bytes: 31; want 32 to 1073741824": {
			func(c *Config) { c.Budget.Bytes = 31 },
			func(c *Config) { c.Budget.Bytes = 32 },
		},
		"budget.bytes: 1073741825; want": {
			func(c *Config) { c.Budget.Bytes = 1<<30 + 1 },
			func(c *Config) { c.Budget.Bytes = 1 << 30 },
		},
		"budget.period: 999.999µs; want 1ms to 24h0m0s": {
			func(c *Config) { c.Budget.Period = time.Millisecond - ns },
			func(c *Config) { c.Budget.Period = time.Millisecond },
		},
		"budget.period: 24h0m0.000000001s; want": {
			func(c *Config) { c.Budget.Period = 24*time.Hour + ns },
			func(c *Config) { c.Budget.Period = 24 * time.Hour },
		},
		"seed.bytes: 31; want 32 to 1024": {
			func(c *Config) { c.Seed.Bytes = 31 },
			func(c *Config) { c.Seed.Bytes = 32 },
		},
		"seed.bytes: 1025; want": {
			func(c *Config) { c.Seed.Bytes = 1025 },
			func(c *Config) { c.Seed.Bytes = 1024 },
		},
		"seed.interval: 99.999999ms; want 100ms to 24h0m0s": {
			func(c *Config) { c.Seed.Interval = 100*time.Millisecond - ns },
			func(c *Config) { c.Seed.Interval = 100 * time.Millisecond },
		},
		"seed.interval: 24h0m0.000000001s; want": {
			func(c *Config) { c.Seed.Interval = 24*time.Hour + ns },
			func(c *Config) { c.Seed.Interval = 24 * time.Hour },
		},
		"seed.jitter: 1; want 0 up to, not including, 1": {
			func(c *Config) { c.Seed.Jitter = 1 },
			func(c *Config) { c.Seed.Jitter = math.Nextafter(1, 0) },
		},
		"seed.jitter: -0.1; want": {
			func(c *Config) { c.Seed.Jitter = -0.1 },
			func(c *Config) { c.Seed.Jitter = 0 },
		},
		"times.handshake: 0s; want 10ms to 1h0m0s": {
			func(c *Config) { c.Times.Handshake = 0 },
			func(c *Config) { c.Times.Handshake = 10 * time.Millisecond },
		},
		"times.write: 1h0m0.000000001s; want": {
			func(c *Config) { c.Times.Write = time.Hour + ns },
			func(c *Config) { c.Times.Write = time.Hour },
		},
		"times.keep_alive: -1ns; want 100ms to 24h0m0s": {
			func(c *Config) { c.Times.KeepAlive = -1 },
			func(c *Config) { c.Times.KeepAlive = 100 * time.Millisecond },
		},
		"limits.sessions: 0; want 1 to 1048576": {
			func(c *Config) { c.Limits.Sessions = 0 },
			func(c *Config) { c.Limits.Sessions = 1 },
		},
		"limits.sessions_per_group: 1048577; want": {
			func(c *Config) { c.Limits.SessionsPerGroup = 1<<20 + 1 },
			func(c *Config) { c.Limits.SessionsPerGroup = 1 << 20 },
		},
		"limits.sessions_per_guest: -1; want": {
			func(c *Config) { c.Limits.SessionsPerGuest = -1 },
			func(c *Config) { c.Limits.SessionsPerGuest = 1 },
		},
		"limits.new_sessions_per_second: 0; want 0.01 to 1e+06": {
			func(c *Config) { c.Limits.NewSessionsPerSecond = 0 },
			func(c *Config) { c.Limits.NewSessionsPerSecond = 0.01 },
		},
		"limits.frames_per_second: NaN; want 0.1 to 1e+06": {
			func(c *Config) { c.Limits.FramesPerSecond = math.NaN() },
			func(c *Config) { c.Limits.FramesPerSecond = 1e6 },
		},
		"limits.cpu_share: 1025; want 0.001 to 1024": {
			func(c *Config) { c.Limits.CPUShare = 1025 },
			func(c *Config) { c.Limits.CPUShare = 1024 },
		},
	} {
		_, err := NewServer(newDrawer(), with(set[0]))
		require.ErrorContains(t, err, "host configuration: "+want)
		require.NotContains(t, err.Error(), "\n", "one fault")
		_, err = NewServer(newDrawer(), with(set[1]))
		require.NoError(t, err, want)
	}
}

// Nothing is a default because it is zero: each field of a Config without any
// is refused, and of the default none.
func TestNoZeroIsADefault(t *testing.T) {
	good := DefaultConfig()
	require.Empty(t, good.Check())
	var keys []string
	for _, f := range new(Config).Check() {
		keys = append(keys, f.Key)
	}
	require.Equal(t, []string{
		"budget.bytes", "budget.period", "seed.bytes", "seed.interval", "times.handshake",
		"times.write", "times.keep_alive",
		"limits.sessions", "limits.sessions_per_group", "limits.sessions_per_guest", "limits.new_sessions_per_second",
		"limits.frames_per_second", "limits.cpu_share",
	}, keys)
}

// hostile is a channel whose peer breaks the channel's own rules.
type hostile struct{ transport.Conn }

type hostileError struct{ error }

func (hostileError) Hostile() bool { return true }

func (hostile) Read([]byte) (int, error) {
	return 0, hostileError{errors.New("ring index out of range")}
}

func TestHostileChannelIsAViolation(t *testing.T) {
	serve(t, DefaultConfig(), func(b *bench) {
		here, there := newPipe(b)
		defer here.Close()
		b.l.guests <- arrival{hostile{there}, transport.Peer{ID: "a"}}
		require.EqualValues(t, 1, b.guest("a").Violations)
	})
}

// TestStoppedHostDoesNotSpin is a host that has nothing to give for hours while
// a new generation waits: the session sleeps, pings and gives a silent guest
// up.
func TestStoppedHostDoesNotSpin(t *testing.T) {
	serve(t, with(func(c *Config) { c.Times.KeepAlive = 20 * time.Second }), func(b *bench) {
		c := b.join("a")
		c.seed()
		b.drawer.fail(ErrStopped)
		b.server.NewGeneration()
		pings := 0
		for {
			switch m := c.next().(type) {
			case protocol.Ping:
				pings++
			case protocol.Close:
				require.Equal(t, protocol.CloseTimeout, m.Reason)
				require.Equal(t, 2, pings)
				require.LessOrEqual(t, b.guest("a").Refused, uint64(65))
				return
			}
		}
	})
}

func TestProtocol1SessionsShareTheirBudget(t *testing.T) {
	serve(t, with(func(c *Config) { c.Limits.NewSessionsPerSecond = 1e6 }), func(b *bench) {
		total := 0
		for range 10 {
			conn := b.connect("a")
			io.WriteString(conn, protocol.V1Request)
			io.ReadFull(conn, make([]byte, len(protocol.V1Answer)))
			conn.SetReadDeadline(time.Now().Add(time.Second))
			n, _ := io.Copy(io.Discard, conn)
			total += int(n)
		}
		require.InDelta(t, 1024+10*1024/60, total, 20+MinSeedBytes) // less than MinSeedBytes are not given
	})
}

func TestGroupSharesItsBudgets(t *testing.T) {
	cfg := with(func(c *Config) {
		c.Limits.SessionsPerGroup = 4
		c.Budget = Budget{64, time.Hour}
		c.Limits.NewSessionsPerSecond = 1e6
		c.Times.KeepAlive = time.Hour
	})
	serve(t, cfg, func(b *bench) {
		for i := range 4 {
			c := b.join(fmt.Sprint("forked ", i))
			c.seed()
			c.conn.Close()
			time.Sleep(time.Millisecond)
		}
		r := b.join("forked again").next().(protocol.Refusal)
		require.Equal(t, protocol.RefusedBudget, r.Reason, "a new name is no new budget")
	})
}

// A budget that is not the common one is the group's: a new name is no new one,
// and nobody else's is spent.
func TestBudgetOfAnEntryIsShared(t *testing.T) {
	cfg := with(func(c *Config) {
		c.Limits.SessionsPerGroup = 4
		c.Budget = Budget{64, time.Hour}
		c.Limits.NewSessionsPerSecond = 1e6
		c.Seed.Interval = time.Hour
		c.Times.KeepAlive = time.Hour
	})
	cfg.BudgetFor = func(p transport.Peer) (Budget, string) {
		if strings.HasPrefix(p.ID, "big") {
			return Budget{1024, time.Hour}, "big*"
		}
		return Budget{}, ""
	}
	serve(t, cfg, func(b *bench) {
		c := b.join("big 1")
		c.seed()
		c.send(protocol.Request{ID: 1, Bytes: 900})
		require.Len(t, c.seed().Payload, 900)
		c.conn.Close()
		again := b.join("big 2")
		require.Equal(t, protocol.RefusedBudget, again.next().(protocol.Refusal).Reason)
		require.Equal(t, 1024-64-900, b.guest("big 2").BudgetLeft)
		b.join("small").seed()
		b.group = "another"
		b.join("big 3").seed()
	})
}

func TestLimitOnSessionsOfOneGuest(t *testing.T) {
	serve(t, with(func(c *Config) { c.Limits.SessionsPerGuest = 2 }), func(b *bench) {
		b.join("a")
		b.join("a")
		require.Equal(t, "2 sessions of one guest at most", b.hello("a").ended(protocol.CloseLimit).Text)
		b.join("b")
		require.EqualValues(t, 1, b.server.Status().TurnedAway)
	})
}

func TestLinesAboutAGroupAreBounded(t *testing.T) {
	g := newGroup(groupKey{}, new(DefaultConfig()))
	now := time.Now()
	written := 0
	for range 1000 {
		if ok, left := g.mayLog(now); ok {
			require.Zero(t, left)
			written++
		}
	}
	require.Equal(t, logLines, written)
	ok, left := g.mayLog(now.Add(logEvery))
	require.True(t, ok)
	require.Equal(t, 1000-logLines, left)
}

// slowListener takes a while to close, as one does that removes a socket's
// file.
type slowListener struct {
	*listener
	done bool
}

func (l *slowListener) Close() error {
	_ = l.listener.Close() // an Accept returns
	time.Sleep(time.Second)
	l.done = true
	return nil
}

// A process may end when Serve has returned.
func TestServeWaitsForItsListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := NewServer(newDrawer(), DefaultConfig())
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		l := &slowListener{listener: newListener()}
		go func() {
			time.Sleep(time.Second)
			cancel()
		}()
		require.NoError(t, s.Serve(ctx, l))
		require.True(t, l.done, "the listener is being closed still")
	})
}

// A refusal whose time to wait is next to none is no reason to come again at
// once.
func TestPushesThatCannotBeWait(t *testing.T) {
	cfg := with(func(c *Config) {
		c.Seed.Interval, c.Seed.Jitter = minInterval, 0
		c.Budget = Budget{c.Seed.Bytes, c.Seed.Interval + time.Millisecond} // a push comes a millisecond too early
		c.Times.KeepAlive = time.Hour
	})
	serve(t, cfg, func(b *bench) {
		c := b.join("a")
		begin := time.Now()
		refused := 0
		for time.Since(begin) < 20*time.Second {
			if r, ok := c.next().(protocol.Refusal); ok {
				require.GreaterOrEqual(t, r.RetryAfter, time.Millisecond)
				require.Less(t, r.RetryAfter, 20*time.Millisecond)
				refused++
			}
		}
		require.Greater(t, refused, 15)
		require.LessOrEqual(t, refused, 21)
	})
}

// Budgets whose sums need more than 32 bits are given out on every machine.
func TestLargeBudgetsServe(t *testing.T) {
	for _, budget := range []Budget{{1 << 20, time.Minute}, {maxBudget, time.Minute}, {MinSeedBytes, 24 * time.Hour}} {
		serve(t, with(func(c *Config) {
			c.Budget = budget
			c.Limits.SessionsPerGroup = 4096
			c.Limits.Sessions = 1 << 20
			c.Seed.Interval = time.Hour
			c.Times.KeepAlive = time.Hour
		}), func(b *bench) {
			for i := range 3 {
				c := b.join(fmt.Sprint(i))
				c.seed()
				if budget.Bytes > MinSeedBytes {
					c.send(protocol.Request{ID: 1, Bytes: 1024})
					require.Len(t, c.seed().Payload, 1024)
				}
			}
		})
	}
}
