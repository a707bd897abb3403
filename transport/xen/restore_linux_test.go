package xen

import (
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/transport"
	"github.com/xentropyd/xentropyd/transport/internal/domain"
	"github.com/xentropyd/xentropyd/vchan"
	vchanxen "github.com/xentropyd/xentropyd/vchan/xen"
	"github.com/xentropyd/xentropyd/xenstore"
)

// restoredID is the guest's number after its restore.
const restoredID = 9

// rounds of a scripted life: the host ends the first and the third channel, the
// guest the others.
const rounds = 4

// scriptedLife is a guest's program and its host, with a restore before one of
// the system calls that the program makes, or before one of its requests to
// xenstore.
type scriptedLife struct {
	*xenHost
	calls   atomic.Int64
	at      int64 // the call before which the restore comes; none has number 0
	once    sync.Once
	before  string        // what that call was
	resumed chan struct{} // closed at the restore
	served  atomic.Int64  // channels that the host has had since
}

// call is before each call.
func (l *scriptedLife) call(what string) error {
	if l.calls.Add(1) == l.at {
		l.once.Do(func() { l.before = what; l.restore() })
	}
	return nil
}

// restore is over before the call is made: a domain that is saved stands still.
func (l *scriptedLife) restore() {
	l.guest.Restore(restoredID)
	l.becomes9()
	close(l.resumed)
}

// counted is a connection to xenstore whose requests count as calls.
type counted struct {
	io.ReadWriteCloser
	l *scriptedLife
}

func (c counted) Write(b []byte) (int, error) {
	_ = c.l.call("a request to xenstore")
	return c.ReadWriteCloser.Write(b)
}

// live runs the program: it dials until it has had its rounds and, where there
// was a restore, one since.
func (l *scriptedLife) live(ctx context.Context) error {
	for done := 0; done < rounds || l.restored() && l.served.Load() == 0; {
		c, err := l.dial(ctx, 0)
		if err == nil {
			if err = l.exchange(c, done%2 == 0); err == nil {
				done++
			}
			_ = c.Close()
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%d rounds, %d since the restore: %v", done, l.served.Load(), err)
		}
	}
	return nil
}

func (l *scriptedLife) restored() bool {
	select {
	case <-l.resumed:
		return true
	default:
		return false
	}
}

// exchange says who is to end the channel, and hears it again.
func (l *scriptedLife) exchange(c transport.Conn, you bool) error {
	said := "I end"
	if you {
		said = "yours"
	}
	if _, err := io.WriteString(c, said); err != nil {
		return err
	}
	b := make([]byte, len(said))
	if _, err := io.ReadFull(c, b); err != nil {
		return err
	}
	if you {
		_, err := io.Copy(io.Discard, c)
		return err
	}
	return nil
}

// serve is the host for the domain as which the guest goes: one channel after
// the other. What it had of a domain that is no more it keeps until the end, so
// that nothing but xenstore tells the guest.
func (l *scriptedLife) serve(ctx context.Context, id uint16) {
	path, _ := vchanxen.Path(id, 0, domain.Port)
	var last vchanxen.Published
	for ; ctx.Err() == nil; time.Sleep(100 * time.Microsecond) {
		offer, found, _ := vchanxen.Lookup(ctx, l.hostStore, path)
		if !found || offer == last {
			continue
		}
		c, err := vchanxen.ConnectTo(id, path, offer, vchanxen.ConnectOptions{System: l.host.Process()})
		if err != nil {
			continue // stale, or taken back meanwhile
		}
		last = offer
		l.echo(ctx, c)
		if ctx.Err() != nil && id == guestID {
			l.t.Cleanup(func() { _ = c.Close() })
			return
		}
		_ = c.Close()
		if id == restoredID {
			l.served.Add(1)
		}
	}
}

func (l *scriptedLife) echo(ctx context.Context, c *vchan.Conn) {
	defer context.AfterFunc(ctx, c.HangUp)()
	b := make([]byte, 5)
	if _, err := io.ReadFull(c, b); err != nil {
		return
	}
	if _, err := c.Write(b); err == nil && string(b) != "yours" {
		_, _ = io.Copy(io.Discard, c)
	}
}

// run lives a life with the restore before call number at, and says whether
// there were so many.
func runLife(t *testing.T, at int64) (restored bool) {
	l := &scriptedLife{xenHost: newXenHost(t), at: at, resumed: make(chan struct{})}
	l.process.Fault = l.call
	l.machine.opener = func(ctx context.Context, opts ...xenstore.Option) (*xenstore.Client, error) {
		return xenstore.Dial(ctx, func(ctx context.Context) (io.ReadWriteCloser, error) {
			c, err := l.store.Dialer(guestID)(ctx)
			return counted{c, l}, err
		}, opts...)
	}
	hosts, stop := context.WithCancel(l.ctx)
	old, over := context.WithCancel(hosts)
	var wg sync.WaitGroup
	wg.Go(func() { l.serve(old, guestID) })
	wg.Go(func() {
		select {
		case <-l.resumed:
			over()
			l.serve(hosts, restoredID)
		case <-hosts.Done():
		}
	})
	err := l.live(l.ctx)
	stop()
	wg.Wait()
	over()
	require.NoError(t, err, "the restore was before %s", l.before)
	l.attachment.drop()
	require.Empty(t, l.guest.Bugs(), "the restore was before %s", l.before)
	return l.restored()
}

// TestXenRestoredAnywhere has the guest restored before each of its calls in
// turn: the kernel never meets an event channel that it does not know, and a
// host comes to the guest again.
func TestXenRestoredAnywhere(t *testing.T) {
	n := int64(1)
	for ok := true; ok; n++ {
		t.Run(fmt.Sprintf("before call %d", n), func(t *testing.T) { ok = runLife(t, n) && !t.Failed() })
	}
	assert.Greater(t, n, int64(60), "calls of a life")
	t.Logf("%d calls", n-2)
}
