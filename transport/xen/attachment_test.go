package xen

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/transport"
	"github.com/xentropyd/xentropyd/transport/internal/domain"
	"github.com/xentropyd/xentropyd/xenstore"
)

// script is an attachment's surroundings, which write down what is asked of
// them.
type script struct {
	mu       sync.Mutex // guards the log, and the ends of channels
	log      []string
	own      uint16 // the domain's number
	announce string // the host's instance
	used     bool   // event channels were used before
	fails    string // the call that fails
	offers   []*scripted
}

var errScripted = errors.New("as the script says")

func (s *script) call(format string, args ...any) error {
	what := fmt.Sprintf(format, args...)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, what)
	if what == s.fails {
		return errScripted
	}
	return nil
}

// took gives what was asked since the last time.
func (s *script) took() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	log := s.log
	s.log = nil
	return log
}

func (s *script) open(context.Context, uint16) (hold, error) { return s, s.call("open") }

func (s *script) number(context.Context) (uint16, error) { return s.own, s.call("number") }

func (s *script) instance(context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.announce, nil
}

func (s *script) announces(instance string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.announce = instance
}

func (s *script) restored(own uint16) { _ = s.call("ports of %d", own) }

// watch is none: the tests say what is seen.
func (s *script) watch() domain.Watch {
	none := func(context.Context, ...xenstore.Option) (*xenstore.Client, error) { return nil, fs.ErrNotExist }
	return domain.Watch{Open: none, Timing: domain.Usual}
}

func (s *script) offer(_ context.Context, host, own uint16, fresh bool) (channel, error) {
	c := &scripted{
		s: s, name: fmt.Sprintf("%d>%d", own, host), here: make(chan struct{}), over: make(chan struct{}),
		used: s.used,
	}
	if err := s.call("offer %s fresh=%v", c.name, fresh); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offers = append(s.offers, c)
	return c, nil
}

func (s *script) close() { _ = s.call("close") }

// last is the channel that was offered last.
func (s *script) last() *scripted {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.offers[len(s.offers)-1]
}

// scripted is a channel of a script.
type scripted struct {
	s          *script
	name       string
	here, over chan struct{} // closed when the host comes; when the channel is over
	why        error
	used       bool
}

func (c *scripted) end(why error) bool {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	select {
	case <-c.over:
		return false
	default:
		c.why = why
		close(c.over)
		return true
	}
}

func (c *scripted) Wait(ctx context.Context) error {
	select {
	case <-c.here:
		return nil
	case <-c.over:
		return c.why
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *scripted) Read([]byte) (int, error) {
	<-c.over
	return 0, c.why
}

func (c *scripted) Abort(why error) {
	if c.end(why) {
		_ = c.s.call("abort %s", c.name)
	}
}

func (c *scripted) Close() error {
	if !c.end(net.ErrClosed) {
		return net.ErrClosed
	}
	return c.s.call("end %s", c.name)
}

func (c *scripted) Write(p []byte) (int, error)           { return len(p), nil }
func (c *scripted) SetReadDeadline(time.Time) error       { return nil }
func (c *scripted) SetWriteDeadline(time.Time) error      { return nil }
func (c *scripted) OnSleep(func(<-chan struct{}), func()) {}
func (c *scripted) path() string                          { return "/" + c.name }
func (c *scripted) doubtful() bool                        { return c.used }
func (c *scripted) doubt()                                { _ = c.s.call("doubt %s", c.name); c.s.used = false }
func (c *scripted) came()                                 { _ = c.s.call("came %s", c.name) }
func (c *scripted) outlived()                             { _ = c.s.call("outlived %s", c.name) }

// play runs a test of an attachment, and has it detached at the end.
func play(t *testing.T, f func(t *testing.T, s *script, a *attachment)) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{own: 7, announce: "first"}
		a := newAttachment(s, usual)
		f(t, s, a)
		a.drop()
		require.Equal(t, detached, a.st)
	})
}

// dialling is a dial under way.
type dialling struct {
	c    *conn
	err  error
	done chan struct{}
}

func dialNow(ctx context.Context, a *attachment, host uint16) *dialling {
	d := &dialling{done: make(chan struct{})}
	go func() {
		defer close(d.done)
		d.c, d.err = a.dial(ctx, host)
	}()
	synctest.Wait()
	return d
}

// connect is a dial to which the host comes.
func connect(t *testing.T, s *script, a *attachment) *conn {
	t.Helper()
	d := dialNow(t.Context(), a, 0)
	require.Equal(t, offered, a.st)
	close(s.last().here)
	<-d.done
	require.NoError(t, d.err)
	require.Equal(t, connected, a.st)
	return d.c
}

func (s *script) seen(a *attachment, number uint16, instance string) {
	a.see(context.Background(), domain.Reading{Number: number, Instance: instance}, a.turn.Load())
}

func TestDetachedOfferedConnectedDetached(t *testing.T) {
	play(t, func(t *testing.T, s *script, a *attachment) {
		c := connect(t, s, a)
		require.Equal(t, []string{"open", "number", "ports of 7", "offer 7>0 fresh=false", "came 7>0"}, s.took())
		_, err := a.dial(t.Context(), 3)
		require.ErrorIs(t, err, transport.ErrBusy, "one channel at a time")
		require.NoError(t, c.Close())
		require.NoError(t, c.Close(), "again")
		require.Equal(t, []string{"end 7>0", "close"}, s.took())
		require.Equal(t, detached, a.st)
	})
}

// What cannot be had leaves nothing behind.
func TestDetachedStaysSo(t *testing.T) {
	for fails, gaveBack := range map[string]bool{"open": false, "number": true, "offer 7>0 fresh=false": true} {
		play(t, func(t *testing.T, s *script, a *attachment) {
			s.fails = fails
			_, err := a.dial(t.Context(), 0)
			require.ErrorIs(t, err, errScripted)
			require.Equal(t, detached, a.st)
			require.Equal(t, gaveBack, slices.Contains(s.took(), "close"), fails)
		})
	}
}

func TestOfferedGivesUp(t *testing.T) {
	play(t, func(t *testing.T, s *script, a *attachment) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		d := dialNow(ctx, a, 0)
		<-d.done
		require.ErrorIs(t, d.err, context.DeadlineExceeded)
		require.ErrorContains(t, d.err, "domain 0 did not connect")
		require.Equal(t, []string{"end 7>0", "close"}, s.took()[4:])
		require.Equal(t, detached, a.st)
	})
}

// In doubt a host that is there is waited for usual.doubt, one that is not for
// ever.
func TestOfferedDoubts(t *testing.T) {
	play(t, func(t *testing.T, s *script, a *attachment) {
		s.used, s.announce = true, ""
		begin := time.Now()
		d := dialNow(t.Context(), a, 0)
		time.Sleep(10 * usual.doubt)
		require.Len(t, s.took(), 4, "nobody is there")
		s.announces("first")
		time.Sleep(usual.doubt)
		synctest.Wait()
		require.Equal(t, []string{"doubt 7>0", "end 7>0", "offer 7>0 fresh=false"}, s.took())
		close(s.last().here)
		<-d.done
		require.NoError(t, d.err)
		require.Equal(t, 11*usual.doubt, time.Since(begin))
		require.NoError(t, d.c.Close())
	})
}

func TestConnectedHostChanges(t *testing.T) {
	play(t, func(t *testing.T, s *script, a *attachment) {
		c := connect(t, s, a)
		time.Sleep(usual.learn)
		synctest.Wait()
		s.seen(a, 7, "")
		s.seen(a, 7, "first")
		require.Equal(t, connected, a.st)
		s.seen(a, 7, "second")
		_, err := c.Read(nil)
		require.ErrorIs(t, err, transport.ErrHostChanged)
		require.Equal(t, connected, a.st, "until it is closed")
		require.NoError(t, c.Close())
		require.Equal(t, detached, a.st)
	})
}

// What was read before the host came says nothing about who came, and what the
// first look finds is taken for it.
func TestConnectedBeforeItWasAskedWhoCame(t *testing.T) {
	play(t, func(t *testing.T, s *script, a *attachment) {
		d := dialNow(t.Context(), a, 0)
		turn := a.turn.Load()
		s.announces("second")
		close(s.last().here)
		<-d.done
		require.NoError(t, d.err)
		a.see(t.Context(), domain.Reading{Number: 7, Instance: "first"}, turn)
		time.Sleep(usual.learn)
		synctest.Wait()
		require.Equal(t, "second", a.in.Instance)
		s.seen(a, 7, "second")
		require.NoError(t, d.c.SetReadDeadline(time.Time{}))
		require.NotContains(t, s.took(), "abort 7>0")
		require.NoError(t, d.c.Close())
	})
}

func TestConnectedEndedIdleOffered(t *testing.T) {
	play(t, func(t *testing.T, s *script, a *attachment) {
		c := connect(t, s, a)
		s.took()
		s.seen(a, 9, "")
		require.Equal(t, ended, a.st)
		require.Equal(t, []string{"outlived 7>0", "ports of 9", "offer 9>0 fresh=true", "abort 7>0"},
			s.took(), "the next one first")
		_, err := c.Read(nil)
		require.ErrorIs(t, err, transport.ErrRestored)
		require.ErrorContains(t, err, "domain 7 became domain 9")
		_, err = a.dial(t.Context(), 0)
		require.ErrorIs(t, err, transport.ErrBusy, "somebody has the channel still")
		require.NoError(t, c.Close())
		require.Equal(t, idle, a.st)
		require.Empty(t, s.took())

		time.Sleep(usual.idle - 1)
		next := dialNow(t.Context(), a, 0)
		require.Equal(t, offered, a.st)
		require.Empty(t, s.took(), "it was offered before")
		time.Sleep(usual.idle)
		require.Equal(t, offered, a.st, "nobody waits for a dial any more")
		close(s.last().here)
		<-next.done
		require.NoError(t, next.err)
		require.NoError(t, next.c.Close())
		require.Equal(t, []string{"came 9>0", "end 9>0", "close"}, s.took())
	})
}

func TestOfferedEnded(t *testing.T) {
	play(t, func(t *testing.T, s *script, a *attachment) {
		d := dialNow(t.Context(), a, 0)
		s.seen(a, 9, "")
		<-d.done
		require.ErrorIs(t, d.err, transport.ErrRestored)
		require.Equal(t, idle, a.st)
		require.Len(t, s.offers, 2)
	})
}

func TestIdleIsOver(t *testing.T) {
	play(t, func(t *testing.T, s *script, a *attachment) {
		c := connect(t, s, a)
		s.seen(a, 9, "")
		require.NoError(t, c.Close())
		s.took()
		time.Sleep(usual.idle)
		synctest.Wait()
		require.Equal(t, detached, a.st)
		require.Equal(t, []string{"end 9>0", "close"}, s.took())
	})
}

// To another host the next channel is of no use.
func TestIdleForAnotherHost(t *testing.T) {
	play(t, func(t *testing.T, s *script, a *attachment) {
		c := connect(t, s, a)
		s.seen(a, 9, "")
		require.NoError(t, c.Close())
		s.took()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		d := dialNow(ctx, a, 3)
		require.Equal(t, []string{"end 9>0", "offer 9>3 fresh=true"}, s.took())
		<-d.done
		require.Equal(t, []string{"end 9>3", "close"}, s.took())
	})
}

// Restored again, in each state that is after a restore: the next channel is
// made anew.
func TestRestoredAgain(t *testing.T) {
	for name, closed := range map[string]bool{"ended": false, "idle": true} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, s *script, a *attachment) {
				c := connect(t, s, a)
				s.seen(a, 9, "")
				if closed {
					require.NoError(t, c.Close())
				}
				st := a.st
				s.took()
				s.seen(a, 10, "")
				require.Equal(t, st, a.st)
				assert.Subset(t, s.took(), []string{"outlived 9>0", "end 9>0", "ports of 10", "offer 10>0 fresh=true"})
				require.NoError(t, c.Close())
				require.Equal(t, idle, a.st)
			})
		})
	}
}

// A next channel that cannot be offered is for the next dial to say.
func TestEndedWithoutANext(t *testing.T) {
	play(t, func(t *testing.T, s *script, a *attachment) {
		c := connect(t, s, a)
		s.fails = "offer 9>0 fresh=true"
		s.seen(a, 9, "")
		require.Equal(t, ended, a.st)
		require.NoError(t, c.Close())
		_, err := a.dial(t.Context(), 0)
		require.ErrorIs(t, err, errScripted)
		require.Equal(t, detached, a.st)
	})
}

// A restore that is seen while the channel is being closed is seen, or the
// channel is closed: nothing is left.
func TestRestoredWhileClosing(t *testing.T) {
	play(t, func(t *testing.T, s *script, a *attachment) {
		for range 100 {
			s.own = 7
			c := connect(t, s, a)
			done, watching := make(chan struct{}), a.watching
			go func() {
				defer close(done)
				a.see(watching, domain.Reading{Number: 9}, a.turn.Load())
			}()
			require.NoError(t, c.Close())
			<-done
			a.drop()
			require.Equal(t, detached, a.st)
		}
	})
}
