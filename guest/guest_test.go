package guest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/protocol"
	"github.com/xentropyd/xentropyd/source"
	"github.com/xentropyd/xentropyd/source/sourcetest"
	"github.com/xentropyd/xentropyd/transport"
)

// hosts is a host made of the protocol's state machine, one step at a time. Its
// Dialer yields a new session each time.
type hosts struct {
	*testing.T
	dialled chan *hostEnd
	mu      sync.Mutex
	refuse  error
	dials   int
}

// hostEnd is the host's end of one session.
type hostEnd struct {
	*testing.T
	conn    net.Conn
	proto   *protocol.Host
	decoder *protocol.Decoder
	hello   protocol.Hello
}

func newHosts(t *testing.T) *hosts { return &hosts{T: t, dialled: make(chan *hostEnd)} }

func (h *hosts) dial(ctx context.Context) (transport.Conn, error) {
	h.mu.Lock()
	h.dials++
	refuse := h.refuse
	h.mu.Unlock()
	if refuse != nil {
		return nil, refuse
	}
	here, there := net.Pipe()
	select {
	case h.dialled <- &hostEnd{T: h.T, conn: there}:
		return here, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// greet takes the next session as far as the welcome.
func (h *hosts) greet(instance byte, generation uint64) *hostEnd {
	h.Helper()
	e := <-h.dialled
	e.decoder = protocol.NewHostDecoder(e.conn)
	f, err := e.decoder.Next()
	require.NoError(h, err)
	e.proto, e.hello, err = protocol.NewHost(f)
	require.NoError(h, err)
	e.send(protocol.Welcome{Instance: [16]byte{instance}, Generation: generation, KeepAlive: time.Minute})
	return e
}

func (e *hostEnd) send(m protocol.Message) {
	e.Helper()
	_, err := e.conn.Write(e.proto.Append(nil, m))
	require.NoError(e, err)
}

func (e *hostEnd) next() protocol.Message {
	e.Helper()
	f, err := e.decoder.Next()
	require.NoError(e, err)
	m, err := e.proto.Open(f)
	require.NoError(e, err)
	return m
}

// seed sends a seed and returns its acknowledgement.
func (e *hostEnd) seed(s protocol.Seed) protocol.Ack {
	e.Helper()
	if s.Payload == nil {
		s.Payload = make([]byte, 32)
	}
	e.send(s)
	ack, ok := e.next().(protocol.Ack)
	require.True(e, ok)
	require.Equal(e, e.proto.Sequence(), ack.Sequence)
	require.Equal(e, s.Generation, ack.Generation)
	return ack
}

var first = protocol.Seed{Generation: 1, Reason: protocol.ReasonConnect, Credit: 256}

// opening is an Open under way.
type opening struct {
	guest *Guest
	err   error
	done  chan struct{}
}

func open(t *testing.T, dial transport.Dialer, o Options) *opening {
	return opens(func() (*Guest, error) { return Open(t.Context(), dial, o) })
}

func opens(f func() (*Guest, error)) *opening {
	o := &opening{done: make(chan struct{})}
	go func() {
		defer close(o.done)
		o.guest, o.err = f()
	}()
	return o
}

func (o *opening) wait(t *testing.T) *Guest {
	t.Helper()
	<-o.done
	require.NoError(t, o.err)
	return o.guest
}

// bubble runs a test in fake time.
func bubble(t *testing.T, f func(t *testing.T)) { t.Helper(); synctest.Test(t, f) }

// none are no own sources at all.
var none = []source.Source{}

func goodSource() []source.Source {
	return []source.Source{sourcetest.New(sourcetest.Info(1, 4), sourcetest.Good(3))}
}

func TestHostSeedsTheGuest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHosts(t)
		o := open(t, h.dial, Options{Sources: none, Label: "me"})
		e := h.greet(1, 1)
		require.Equal(t, "me", e.hello.Label)
		require.False(t, e.hello.Kernel)
		ack := e.seed(first)
		require.Equal(t, []protocol.Outcome{{Target: protocol.TargetLibrary, OK: true, Credit: 256}}, ack.Outcomes)
		g := o.wait(t)
		defer g.Close()
		a, b := make([]byte, 100), make([]byte, 100)
		for _, p := range [][]byte{a, b} {
			n, err := g.Read(p)
			require.NoError(t, err)
			require.Equal(t, 100, n)
		}
		require.NotEqual(t, a, b)
		s := g.Status()
		require.True(t, s.Seeded && s.Host.Connected)
		require.EqualValues(t, 1, s.Host.Seeds)
		require.EqualValues(t, 32, s.Host.SeedBytes)
		require.EqualValues(t, 256, s.Host.CreditedBits)
		require.EqualValues(t, 200, s.BytesRead)
		require.Equal(t, "01000000000000000000000000000000", s.Host.Instance)
	})
}

// target records what it is fed.
type target struct {
	seeds [][]byte
	bits  int
	err   error
}

func (k *target) Seed(seed []byte, bits int) (int, error) {
	if k.err != nil {
		return 0, k.err
	}
	k.seeds = append(k.seeds, append([]byte(nil), seed...))
	k.bits += bits
	return bits, nil
}

func TestKernelIsFedBytesOfItsOwn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h, kernel := newHosts(t), &target{}
		o := open(t, h.dial, Options{Sources: none, Kernel: kernel})
		e := h.greet(1, 1)
		require.True(t, e.hello.Kernel)
		for range 2 {
			ack := e.seed(protocol.Seed{Generation: 1, Reason: protocol.ReasonConnect, Credit: 200})
			require.Equal(t, []protocol.Outcome{
				{Target: protocol.TargetLibrary, OK: true, Credit: 200},
				{Target: protocol.TargetKernel, OK: true, Credit: 200},
			}, ack.Outcomes)
		}
		g := o.wait(t)
		defer g.Close()
		require.Len(t, kernel.seeds[0], 32)
		require.NotEqual(t, kernel.seeds[0], kernel.seeds[1], "though the host's seeds were the same")
		require.NotEqual(t, make([]byte, 32), kernel.seeds[0], "not the host's seed itself")
		require.Equal(t, KernelStatus{Fed: true, Seeds: 2, CreditedBits: 400}, g.Status().Kernel)
	})
}

func TestFailureIsAcknowledgedAsFailure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h, kernel := newHosts(t), &target{err: errors.New("not permitted")}
		o := open(t, h.dial, Options{Sources: none, Kernel: kernel})
		e := h.greet(1, 1)
		ack := e.seed(first)
		require.Equal(t, protocol.Outcome{Target: protocol.TargetKernel, Detail: "not permitted"}, ack.Outcomes[1])
		g := o.wait(t)
		defer g.Close()
		require.Equal(t, KernelStatus{Failures: 1, LastFailure: "not permitted"}, g.Status().Kernel)
		kernel.err = nil
		e.seed(first)
		require.Equal(t, KernelStatus{
			Fed: true, Seeds: 1, CreditedBits: 256, Failures: 1, LastFailure: "not permitted",
		}, g.Status().Kernel)
	})
}

func TestCreditOfADegradedHostIsZero(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h, kernel := newHosts(t), &target{}
		o := open(t, h.dial, Options{Sources: none, Kernel: kernel})
		e := h.greet(1, 1)
		e.seed(protocol.Seed{Generation: 1, Reason: protocol.ReasonConnect})
		defer o.wait(t).Close()
		require.Len(t, kernel.seeds, 1)
		require.Zero(t, kernel.bits)
	})
}

// TestDegradedFollowsTheHost: what a welcome said is not the last word.
func TestDegradedFollowsTheHost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHosts(t)
		var told atomic.Bool // what the last notification said
		o := open(t, h.dial, Options{Sources: none, Notify: func(s Status) { told.Store(s.Host.Degraded) }})
		e := h.greet(1, 1)
		e.seed(first)
		g := o.wait(t)
		defer g.Close()
		is := func(want bool, why string) {
			t.Helper()
			synctest.Wait()
			require.Equal(t, want, g.Status().Host.Degraded, why)
			require.Equal(t, want, told.Load(), why)
		}
		is(false, "the welcome and the first seed")
		e.seed(protocol.Seed{Generation: 1, Reason: protocol.ReasonPeriodic})
		is(true, "a seed without credit")
		e.seed(protocol.Seed{Generation: 1, Reason: protocol.ReasonPeriodic, Credit: 1})
		is(false, "a seed with credit")
		for _, reason := range []protocol.RefusalReason{
			protocol.RefusedBudget, protocol.RefusedUnseeded, protocol.RefusedTooLarge,
		} {
			e.send(protocol.Refusal{Reason: reason})
			is(false, reason.String())
		}
		e.send(protocol.Refusal{Reason: protocol.RefusedStopped, RetryAfter: time.Second})
		is(true, "a refusal of a host that stopped")
		e.send(protocol.Refusal{Reason: protocol.RefusedBudget})
		is(true, "a refusal that says nothing of it")
		e.seed(protocol.Seed{Generation: 2, Reason: protocol.ReasonGeneration, Credit: 256})
		is(false, "a new generation's seed with credit")
		e.seed(protocol.Seed{Generation: 3, Reason: protocol.ReasonGeneration})
		is(true, "a new generation's seed without")
		e.conn.Close()
		h.greet(1, 3)
		is(false, "a new welcome")
	})
}

func TestGuestComesBackToItsHost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHosts(t)
		o := open(t, h.dial, Options{Sources: none})
		e := h.greet(1, 1)
		e.seed(first)
		g := o.wait(t)
		defer g.Close()
		for i := range 3 {
			nonce := e.hello.Nonce
			e.conn.Close()
			synctest.Wait()
			require.False(t, g.Status().Host.Connected)
			_, err := g.Read(make([]byte, 10))
			require.NoError(t, err, "reads go on meanwhile")
			before := time.Now()
			e = h.greet(byte(i+2), 1)
			require.LessOrEqual(t, time.Since(before), 100*time.Millisecond, "back-off starts anew after a welcome")
			require.NotEqual(t, nonce, e.hello.Nonce)
			e.seed(first)
			require.EqualValues(t, i+1, g.Status().Host.Reconnects)
		}
	})
}

func TestRedialsAtOnceAfterASession(t *testing.T) {
	for lasted, at := range map[time.Duration]bool{steady: true, steady - time.Millisecond: false} {
		bubble(t, func(t *testing.T) {
			h := newHosts(t)
			o := open(t, h.dial, Options{Sources: none})
			e := h.greet(1, 1)
			e.seed(first)
			defer o.wait(t).Close()
			time.Sleep(lasted)
			before := time.Now()
			e.conn.Close()
			h.greet(2, 1)
			require.Equal(t, at, time.Since(before) == 0, "after %v: %v", lasted, time.Since(before))
		})
	}
}

func TestBackOffGrowsAndEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHosts(t)
		h.refuse = errors.New("connection refused")
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		_, err := Open(ctx, h.dial, Options{Sources: none, MaxPause: 10 * time.Second})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.EqualError(t, err, "open guest: not seeded in time: host: dial host: connection refused; "+
			"own noise sources have 0 of 320 bits: context deadline exceeded")
		require.Greater(t, h.dials, 3600/15)
		require.Less(t, h.dials, 3600/5+12)
	})
}

func TestOwnSourcesServeAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g, err := Open(t.Context(), nil, Options{Sources: goodSource()})
		require.NoError(t, err)
		defer g.Close()
		s := g.Status()
		require.True(t, s.Seeded)
		require.Zero(t, s.Host.Seeds)
		require.GreaterOrEqual(t, s.Own.Bits, 320.)
		_, err = g.Read(make([]byte, 10))
		require.NoError(t, err)
		require.ErrorContains(t, g.Refresh(t.Context()), "not connected")
	})
}

func TestOwnSourcesServeWhenTheHostIsLate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHosts(t)
		h.refuse = errors.New("connection refused")
		before := time.Now()
		g, err := Open(t.Context(), h.dial, Options{Sources: goodSource()})
		require.NoError(t, err)
		defer g.Close()
		require.Equal(t, 3*time.Second, time.Since(before))
		require.Zero(t, g.Status().Host.Seeds)
		h.mu.Lock()
		h.refuse = nil
		h.mu.Unlock()
		h.greet(1, 1).seed(first)
		require.NotZero(t, g.Status().Host.Seeds, "and it is followed when it comes")
	})
}

// Who requires the host waits for it, however good the own sources are.
func TestRequireHost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHosts(t)
		h.refuse = errors.New("connection refused")
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		_, err := Open(ctx, h.dial, Options{Sources: goodSource(), RequireHost: true})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "connection refused")

		h.refuse = nil
		o := open(t, h.dial, Options{Sources: goodSource(), RequireHost: true})
		e := h.greet(1, 1)
		time.Sleep(30 * time.Second)
		e.seed(first)
		g := o.wait(t)
		defer g.Close()
		require.EqualValues(t, 1, g.Status().Host.Seeds)

		_, err = Open(t.Context(), nil, Options{Sources: goodSource(), RequireHost: true})
		require.ErrorContains(t, err, "no dialer")
	})
}

func TestUncreditedSourcesSeedNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		info := sourcetest.Info(8, 8)
		info.Credited = false
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		_, err := Open(ctx, nil, Options{Sources: []source.Source{sourcetest.New(info, sourcetest.Good(1))}})
		require.ErrorContains(t, err, "own noise sources have 0 of 320 bits")
	})
}

func TestRefreshAsksTheHost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHosts(t)
		o := open(t, h.dial, Options{Sources: none})
		e := h.greet(1, 1)
		e.seed(first)
		g := o.wait(t)
		defer g.Close()
		answer := make(chan error)
		ask := func() protocol.Request {
			go func() { answer <- g.Refresh(t.Context()) }()
			return e.next().(protocol.Request)
		}
		r := ask()
		e.seed(protocol.Seed{Generation: 1, Reason: protocol.ReasonRequest, Request: r.ID})
		require.NoError(t, <-answer)
		require.EqualValues(t, 2, g.Status().Host.Seeds)

		r = ask()
		e.send(protocol.Refusal{Request: r.ID, Reason: protocol.RefusedBudget, RetryAfter: 3 * time.Second})
		require.EqualError(t, <-answer, "ask host for a seed: host refused a seed: budget spent, retry after 3s")

		ask()
		e.conn.Close()
		require.ErrorContains(t, <-answer, "host closed the channel")
	})
}

func TestGuestAnswersPings(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHosts(t)
		o := open(t, h.dial, Options{Sources: none})
		e := h.greet(1, 1)
		e.seed(first)
		defer o.wait(t).Close()
		e.send(protocol.Ping{Token: 5})
		require.Equal(t, protocol.Pong{Token: 5}, e.next())
	})
}

func TestSilentHostIsGivenUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHosts(t)
		o := open(t, h.dial, Options{Sources: none})
		e := h.greet(1, 1)
		e.seed(first)
		g := o.wait(t)
		defer g.Close()
		before := time.Now()
		_, err := e.decoder.Next()
		require.ErrorIs(t, err, io.EOF)
		require.Equal(t, 3*time.Minute, time.Since(before))
		synctest.Wait()
		require.Equal(t, "host was silent for 3m0s", g.Status().Host.LastError)
		h.greet(1, 1)
	})
}

func TestHostThatDoesNotAnswerTheHelloIsGivenUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHosts(t)
		o := open(t, h.dial, Options{Sources: goodSource()})
		e := <-h.dialled
		before := time.Now()
		io.Copy(io.Discard, e.conn)
		require.Equal(t, 10*time.Second, time.Since(before))
		o.wait(t).Close()
	})
}

func TestForgedSeedEndsTheSession(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHosts(t)
		o := open(t, h.dial, Options{Sources: none})
		e := h.greet(1, 1)
		e.seed(first)
		g := o.wait(t)
		defer g.Close()
		frame := e.proto.Append(nil, protocol.Seed{
			Generation: 1, Reason: protocol.ReasonPeriodic, Payload: make([]byte, 32),
		})
		frame[len(frame)-1] ^= 1
		go e.conn.Write(frame)
		require.Equal(t, protocol.CloseProtocol, e.next().(protocol.Close).Reason)
		synctest.Wait()
		require.EqualValues(t, 1, g.Status().Host.Seeds)
		require.Contains(t, g.Status().Host.LastError, "wrong message authentication code")
	})
}

func TestHostsReasonToCloseIsKept(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHosts(t)
		o := open(t, h.dial, Options{Sources: goodSource()})
		e := h.greet(1, 1)
		e.send(protocol.Close{Reason: protocol.CloseLimit, Text: "2 sessions at most"})
		before := time.Now()
		h.greet(1, 1).seed(first)
		require.GreaterOrEqual(t, time.Since(before), time.Second,
			"a host that sent us away is not asked again at once")
		defer o.wait(t).Close()
	})
}

func TestNewGenerationReseedsBeforeAnythingIsGiven(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHosts(t)
		o := open(t, h.dial, Options{Sources: none})
		e := h.greet(1, 1)
		e.seed(first)
		g := o.wait(t)
		defer g.Close()
		e.seed(protocol.Seed{Generation: 2, Reason: protocol.ReasonGeneration})
		s := g.Status()
		require.EqualValues(t, 2, s.Host.Generation)
		require.EqualValues(t, 1, s.Host.Generations)
	})
}

// TestMissedGeneration is a guest that was away while a generation began, and
// has no source of its own: it gives nothing until the host's seed is in.
func TestMissedGeneration(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h, kernel := newHosts(t), &target{}
		o := open(t, h.dial, Options{Sources: none, Kernel: kernel})
		e := h.greet(1, 1)
		e.seed(first)
		g := o.wait(t)
		defer g.Close()
		e.conn.Close()
		e = h.greet(1, 2)
		synctest.Wait()
		before := time.Now()
		_, err := g.Read(make([]byte, 8))
		require.ErrorIs(t, err, ErrStale)
		require.Equal(t, renewWait, time.Since(before))

		read := make(chan error)
		go func() {
			_, err := g.Read(make([]byte, 8))
			read <- err
		}()
		synctest.Wait()
		ack := e.seed(protocol.Seed{Generation: 2, Reason: protocol.ReasonConnect, Credit: 256})
		require.True(t, ack.Outcomes[1].OK, "the kernel is fed although reads are held up: %+v", ack.Outcomes)
		require.NoError(t, <-read, "the reader that waited goes on")
		_, err = g.Read(make([]byte, 8))
		require.NoError(t, err)
	})
}

func TestAnotherInstancesGenerationIsNoChange(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHosts(t)
		o := open(t, h.dial, Options{Sources: none})
		e := h.greet(1, 9)
		e.seed(protocol.Seed{Generation: 9, Reason: protocol.ReasonConnect})
		g := o.wait(t)
		defer g.Close()
		e.conn.Close()
		h.greet(2, 1)
		synctest.Wait()
		_, err := g.Read(make([]byte, 8))
		require.NoError(t, err)
	})
}

func TestMachinesGenerationCounter(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var counter atomic.Uint64
		counter.Store(7)
		h := newHosts(t)
		o := open(t, h.dial, Options{Sources: none, Restores: counter.Load})
		e := h.greet(1, 1)
		e.seed(first)
		g := o.wait(t)
		defer g.Close()
		_, err := g.Read(make([]byte, 8))
		require.NoError(t, err)
		counter.Store(3)
		_, err = g.Read(make([]byte, 8))
		require.ErrorIs(t, err, ErrStale)
		// The session that was there before the change is given up: what comes
		// on it may be in a copy's memory.
		nonce := e.hello.Nonce
		e = h.greet(1, 1)
		require.NotEqual(t, nonce, e.hello.Nonce)
		e.seed(first)
		_, err = g.Read(make([]byte, 8))
		require.NoError(t, err)
	})
}

// restoredError is what a carrier gives that learns of a restore.
type restoredError struct{}

func (restoredError) Error() string  { return "restored" }
func (restoredError) Restored() bool { return true }

// breaking is a channel whose next error is another one.
type breaking struct {
	transport.Conn
	err error
}

func (b breaking) Read(p []byte) (int, error) {
	n, err := b.Conn.Read(p)
	if err != nil {
		err = b.err
	}
	return n, err
}

// A channel that learns of a restore tells the guest, without anybody's help.
func TestChannelTellsOfARestore(t *testing.T) {
	restored := fmt.Errorf("read: %w", restoredError{})
	for name, c := range map[string]struct {
		read, dial error
		begins     bool
	}{
		"read":    {restored, io.EOF, true},
		"dial":    {io.EOF, restored, true},
		"neither": {io.EOF, io.EOF, false},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				h := newHosts(t)
				dials := 0
				dial := func(ctx context.Context) (transport.Conn, error) {
					if dials++; dials == 2 {
						return nil, c.dial
					}
					rw, err := h.dial(ctx)
					return breaking{rw, c.read}, err
				}
				o := open(t, dial, Options{Sources: none, Restores: func() uint64 { return 7 }})
				e := h.greet(1, 1)
				e.seed(first)
				g := o.wait(t)
				defer g.Close()
				before := freshness{g}.Generation()
				e.conn.Close()
				h.greet(1, 1)
				synctest.Wait()
				require.Equal(t, c.begins, freshness{g}.Generation() != before)
			})
		})
	}
}

// TestSeedInFlightAtTheChange is a seed that had come but was not yet used when
// the machine's counter changed.
func TestSeedInFlightAtTheChange(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var counter atomic.Uint64
		h := newHosts(t)
		o := open(t, h.dial, Options{Sources: none, Restores: counter.Load})
		e := h.greet(1, 1)
		e.seed(first)
		g := o.wait(t)
		defer g.Close()
		frame := e.proto.Append(nil, protocol.Seed{
			Generation: 1, Reason: protocol.ReasonPeriodic, Payload: make([]byte, 32),
		})
		_, err := e.conn.Write(frame[:len(frame)-1])
		require.NoError(t, err)
		counter.Store(1)
		_, err = e.conn.Write(frame[len(frame)-1:])
		require.NoError(t, err)
		synctest.Wait()
		require.EqualValues(t, 1, g.Status().Host.Seeds, "it is not used")
		_, err = g.Read(make([]byte, 8))
		require.ErrorIs(t, err, ErrStale)
		h.greet(1, 1).seed(first)
		_, err = g.Read(make([]byte, 8))
		require.NoError(t, err)
	})
}

// TestGenerationRestartsReads is a long read under way while a new generation
// begins: it is not finished from the old state.
func TestGenerationRestartsReads(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHosts(t)
		o := open(t, h.dial, Options{Sources: none})
		e := h.greet(1, 1)
		e.seed(first)
		g := o.wait(t)
		defer g.Close()
		before := freshness{g}.Generation()
		e.seed(protocol.Seed{Generation: 2, Reason: protocol.ReasonGeneration})
		require.NotEqual(t, before, freshness{g}.Generation(), "fortuna asks again at the end of each read")
		_, err := g.Read(make([]byte, 8))
		require.NoError(t, err, "the generation's own seed renews")
	})
}

func TestCloseTellsTheHostAndEndsReads(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHosts(t)
		o := open(t, h.dial, Options{Sources: none})
		e := h.greet(1, 1)
		e.seed(first)
		g := o.wait(t)
		closed := make(chan error)
		go func() { closed <- g.Close() }()
		require.Equal(t, protocol.CloseDone, e.next().(protocol.Close).Reason)
		require.NoError(t, <-closed)
		_, err := g.Read(make([]byte, 1))
		require.ErrorIs(t, err, ErrClosed)
	})
}

func TestCloseDoesNotWaitForADeafHost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHosts(t)
		o := open(t, h.dial, Options{Sources: none})
		e := h.greet(1, 1)
		e.seed(first)
		g := o.wait(t)
		before := time.Now()
		require.NoError(t, g.Close())
		require.LessOrEqual(t, time.Since(before), time.Second)
	})
}

func TestProtocol1Guest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h, kernel := newHosts(t), &target{}
		o := open(t, h.dial, Options{Sources: none, Protocol1: true, Kernel: kernel})
		e := <-h.dialled
		m := protocol.NewV1RequestMatcher()
		buf := make([]byte, 64)
		for found := false; !found; {
			n, err := e.conn.Read(buf)
			require.NoError(t, err)
			_, found, err = m.Feed(buf[:n])
			require.NoError(t, err)
		}
		_, err := io.WriteString(e.conn, protocol.V1Answer+strings.Repeat("x", 39))
		require.NoError(t, err)
		synctest.Wait()
		select {
		case <-o.done:
			t.Fatal("39 bytes are no seed")
		default:
		}
		_, err = io.WriteString(e.conn, "y")
		require.NoError(t, err)
		g := o.wait(t)
		defer g.Close()
		synctest.Wait()
		s := g.Status()
		require.Equal(t, 1, s.Host.Protocol)
		require.EqualValues(t, 40, s.Host.SeedBytes)
		require.Zero(t, kernel.bits, "protocol 1 vouches for nothing")
	})
}

func TestDefaultSourcesAreThisMachines(t *testing.T) {
	g, err := Open(t.Context(), nil, Options{})
	if err != nil {
		t.Skip("this machine's own sources do not suffice: run on a CPU with RDRAND or RDSEED: ", err)
	}
	defer g.Close()
	for _, s := range g.Status().Own.Sources {
		require.NotEqual(t, source.NameArrivals, s.Name)
	}
	_, err = io.ReadFull(g, make([]byte, 1<<16))
	require.NoError(t, err)
}
