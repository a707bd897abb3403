package xen

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/internal/xendev"
	"github.com/xentropyd/xentropyd/transport"
	"github.com/xentropyd/xentropyd/vchan"
	vchanxen "github.com/xentropyd/xentropyd/vchan/xen"
	"github.com/xentropyd/xentropyd/xenstore/xenstoretest"
)

// TestXenDialsAgain has one channel after the other in one domain. Each that a
// host came to leaves an event channel with its page, and nothing else.
func TestXenDialsAgain(t *testing.T) {
	w := newXenHost(t)
	for i := range 10 {
		guest, host := w.pair()
		if i%2 == 0 {
			require.NoError(t, host.Close())
			require.NoError(t, w.ended(guest))
			require.NoError(t, guest.Close())
		} else {
			require.NoError(t, guest.Close())
			require.NoError(t, host.Close())
		}
		w.kept(i + 1)
	}
	w.gone()
}

// TestXenUsedUp is a process that has had as many hosts as it may.
func TestXenUsedUp(t *testing.T) {
	w := newXenHost(t)
	guest, host := w.pair()
	require.NoError(t, guest.Close())
	require.NoError(t, host.Close())
	all := w.machine.ports.all
	for len(w.machine.ports.all) < maxPorts-1 {
		w.machine.ports.all = append(w.machine.ports.all, all[0])
	}
	guest, host = w.pair()
	require.NoError(t, guest.Close())
	require.NoError(t, host.Close())
	_, err := w.dial(w.ctx, 0)
	require.ErrorIs(t, err, transport.ErrUsedUp)
}

// offeredInVain makes an offer that nobody takes, and gives its event channel.
func (w *xenHost) offeredInVain() *guestPort {
	w.t.Helper()
	c, err := (&held{m: w.machine, store: w.hostStore}).offer(w.ctx, 0, guestID, false)
	require.NoError(w.t, err)
	require.NoError(w.t, c.Close())
	return c.(*offer).port
}

// TestXenHostNeverThere gives up again and again without a host: no more is
// kept than of one that came.
func TestXenHostNeverThere(t *testing.T) {
	w := newXenHost(t)
	w.attachment.timing.doubt = time.Microsecond
	for range 2 * maxDoubted {
		ctx, cancel := context.WithTimeout(w.ctx, time.Millisecond)
		_, err := w.dial(ctx, 0)
		cancel()
		require.Error(t, err)
	}
	assert.LessOrEqual(t, len(w.machine.ports.all), 1)
	w.gone()
}

// TestXenSilentRestore is a restore of which neither xenstore nor the kernel
// says anything: the domain has its number again, and another channel has the
// port's. A host that announces itself and does not come makes the guest doubt,
// in vain at most so often.
func TestXenSilentRestore(t *testing.T) {
	w := newXenHost(t)
	w.announce("a")
	w.attachment.timing.doubt = time.Millisecond
	stale := w.offeredInVain()

	w.guest.Restore(guestID)
	other, err := xendev.OpenEvtchn(w.process)
	require.NoError(t, err)
	number, err := other.BindUnbound(3) // for whom the host is none
	require.NoError(t, err)
	require.NoError(t, stale.Check(), "port %d", number)

	next, host := w.pairRetrying()
	require.NoError(t, next.Close())
	_ = host.Close()
	assert.True(t, stale.aside)
	assert.Len(t, w.machine.ports.all, 2)
	assert.Empty(t, w.guest.Bugs())

	// Then the host goes on announcing itself, and comes no more.
	for range 2 * maxDoubted {
		ctx, cancel := context.WithTimeout(w.ctx, 20*time.Millisecond)
		_, err := w.dial(ctx, 0)
		cancel()
		require.Error(t, err)
	}
	assert.LessOrEqual(t, len(w.machine.ports.all), 3+maxDoubted)
	assert.Empty(t, w.guest.Bugs())
}

// TestXenKernelKnowsOfRestore has the number come again as well, but nobody has
// the port's.
func TestXenKernelKnowsOfRestore(t *testing.T) {
	w := newXenHost(t)
	stale := w.offeredInVain()
	require.Same(t, stale, w.offeredInVain())
	w.guest.Restore(guestID)
	next, host := w.pair()
	require.NoError(t, next.Close())
	_ = host.Close()
	assert.True(t, stale.aside)
	assert.Len(t, w.machine.ports.all, 2)
	assert.Empty(t, w.guest.Bugs())
}

// TestXenReplacedHost has the host's daemon start anew again and again.
func TestXenReplacedHost(t *testing.T) {
	w := newXenHost(t)
	w.announce("a")
	for range 5 {
		guest, host := w.pair()
		w.announce("b")
		require.ErrorIs(t, w.ended(guest), transport.ErrHostChanged)
		require.NoError(t, guest.Close())
		require.NoError(t, host.Close())
		w.announce("a")
	}
	w.kept(5)
	w.gone()
}

// keeper writes down what it was given.
type keeper struct {
	mu    sync.Mutex
	given []int // how many files, each time
	err   error
}

func (k *keeper) was() []int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.given)
}

func (k *keeper) keep(files []*os.File) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.given = append(k.given, len(files))
	for _, f := range files {
		if _, err := f.Stat(); err != nil {
			return err
		}
	}
	return k.err
}

// TestXenKeeper gives what is of before a restore to the keeper, all of it each
// time, and nothing else.
func TestXenKeeper(t *testing.T) {
	w := newXenHost(t)
	k := new(keeper)
	w.machine.ports.keepWith(k.keep)
	require.NoError(t, w.machine.leave(w.ctx, w.attachment), "nothing was dialled")
	guest, host := w.pair()
	require.NoError(t, guest.Close())
	require.NoError(t, host.Close())
	require.NoError(t, w.machine.leave(w.ctx, w.attachment))
	require.Empty(t, k.was(), "the domain is the one it was")

	w.guest.Restore(restoredID)
	w.renumber("9")
	k.err = errors.New("no memory")
	require.ErrorIs(t, w.machine.leave(w.ctx, w.attachment), k.err)
	k.err = nil
	require.NoError(t, w.machine.leave(w.ctx, w.attachment))
	require.NoError(t, w.machine.leave(w.ctx, w.attachment), "again: nothing is new")
	require.Equal(t, []int{2, 2}, k.was())
	require.Empty(t, w.guest.Bugs())
}

// TestXenKeeperInDoubt has no answer from xenstore at the end.
func TestXenKeeperInDoubt(t *testing.T) {
	w := newXenHost(t)
	k := new(keeper)
	w.machine.ports.keepWith(k.keep)
	guest, host := w.pair()
	require.NoError(t, guest.Close())
	require.NoError(t, host.Close())
	w.store.SetFault(func(r xenstoretest.Request) xenstoretest.Fault { return xenstoretest.Fault{Mute: r.DomID == guestID} })
	ctx, cancel := context.WithTimeout(w.ctx, 20*time.Millisecond)
	defer cancel()
	require.Error(t, w.machine.leave(ctx, w.attachment))
	require.Equal(t, []int{2}, k.was())
	w.store.SetFault(nil)
}

// TestKeeperInAWhile does not wait for the end of the process.
func TestKeeperInAWhile(t *testing.T) {
	w := newXenHost(t)
	guest, host := w.pair()
	require.NoError(t, guest.Close())
	require.NoError(t, host.Close())
	synctest.Test(t, func(t *testing.T) {
		k := new(keeper)
		s := &ports{all: w.machine.ports.all}
		s.keepWith(k.keep)
		s.restored(guestID)
		time.Sleep(2 * keepAfter)
		require.Empty(t, k.was())
		s.restored(restoredID)
		time.Sleep(keepAfter - 1)
		require.Empty(t, k.was())
		time.Sleep(2 * time.Nanosecond)
		synctest.Wait()
		require.Equal(t, []int{2}, k.was())
	})
}

// pairRetrying is pair with a host that looks again and again, as an offer that
// cannot be taken is replaced.
func (w *xenHost) pairRetrying() (transport.Conn, *vchan.Conn) {
	w.t.Helper()
	ch := make(chan transport.Conn, 1)
	go func() {
		c, err := w.dial(w.ctx, 0)
		assert.NoError(w.t, err)
		ch <- c
	}()
	host := w.comeTo(offerPath)
	return <-ch, host
}

// comeTo connects to whatever offer can be connected to.
func (w *xenHost) comeTo(path string) *vchan.Conn {
	w.t.Helper()
	for w.ctx.Err() == nil {
		if offer, found, _ := vchanxen.Lookup(w.ctx, w.hostStore, path); found {
			if c, err := vchanxen.ConnectTo(guestID, path, offer,
				vchanxen.ConnectOptions{System: w.host.Process()}); err == nil {
				return c
			}
		}
		time.Sleep(100 * time.Microsecond)
	}
	w.t.Fatal("no offer that can be taken")
	return nil
}
