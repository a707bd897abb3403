package console

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/transport"
	"github.com/xentropyd/xentropyd/transport/console/consoletest"
	"github.com/xentropyd/xentropyd/xenstore"
)

// below is what the store holds below a path.
func (w *fixture) below(path string) map[string]string {
	m := make(map[string]string)
	for p, v := range w.store.Dump() {
		if rest, ok := strings.CutPrefix(p, path+"/"); ok {
			m[rest] = v
		}
	}
	return m
}

// The nodes of xen-pv-channel(7) and libxl, each end owned by its domain and
// readable by the other alone.
func TestPlugWritesBothEnds(t *testing.T) {
	w := newFixture(t)
	d := w.plug()
	require.Equal(t, 1, d.Slot())
	require.Equal(t, "/local/domain/7/device/console/1", d.Front())
	require.Equal(t, map[string]string{
		"backend": "/local/domain/0/backend/entropy/7/1", "backend-id": "0", "protocol": "vt100",
		"name": "org.openmirage.entropy.1", "type": "entropy", "limit": "1048576",
		"output": "none", "tty": "", "state": "1",
	}, w.below(d.Front()))
	require.Equal(t, map[string]string{
		"frontend": "/local/domain/7/device/console/1", "frontend-id": "7", "online": "1", "protocol": "vt100",
		"name": "org.openmirage.entropy.1", "state": "2",
	}, w.below("/local/domain/0/backend/entropy/7/1"))
	for path, want := range map[string][]xenstore.Perm{
		d.Front(): {
			{DomID: 7, Access: xenstore.AccessNone},
			{DomID: 0, Access: xenstore.AccessRead},
		},
		d.Front() + "/state": {
			{DomID: 7, Access: xenstore.AccessNone},
			{DomID: 0, Access: xenstore.AccessRead},
		},
		"/local/domain/0/backend/entropy/7/1": {
			{DomID: 0, Access: xenstore.AccessNone},
			{DomID: 7, Access: xenstore.AccessRead},
		},
		"/local/domain/0/backend/entropy/7/1/state": {
			{DomID: 0, Access: xenstore.AccessNone},
			{DomID: 7, Access: xenstore.AccessRead},
		},
	} {
		perms, err := w.cfg.Store.GetPerms(w.ctx, path)
		require.NoError(t, err)
		require.Equal(t, want, perms, path)
	}
	w.store.AddDomain(8, "other")
	other, err := xenstore.Dial(w.ctx, w.store.Dialer(8))
	require.NoError(t, err)
	defer func() { _ = other.Close() }()
	_, err = other.Read(w.ctx, d.Front()+"/name")
	require.ErrorIs(t, err, xenstore.ErrPermission)

	require.NoError(t, d.Unplug(w.ctx))
	require.Empty(t, w.below("/local/domain/7/device/console"))
	require.Empty(t, w.below("/local/domain/0/backend/entropy"))
	require.NoError(t, d.Unplug(w.ctx), "once more is no error")
}

func TestPlugTakesTheFirstFreeSlot(t *testing.T) {
	w := newFixture(t)
	for n := 1; n <= 9; n++ {
		if n != 4 {
			w.store.Write("/local/domain/7/device/console/"+digit(State(n))+"/name", "other")
		}
	}
	d := w.plug()
	require.Equal(t, 4, d.Slot())
	_, err := Plug(w.ctx, w.cfg)
	require.ErrorIs(t, err, ErrNoSlot)
	require.ErrorContains(t, err, "consoles 1 to 9 are all in use")
	require.NoError(t, d.Unplug(w.ctx))
	require.Len(t, w.below("/local/domain/7/device/console"), 16, "those of others stay")
}

func TestPlugMakesNoDomain(t *testing.T) {
	w := newFixture(t)
	w.store.RemoveDomain(guestID)
	_, err := Plug(w.ctx, w.cfg)
	require.ErrorIs(t, err, ErrGone)
	require.NotContains(t, w.store.Dump(), "/local/domain/7")
	require.Empty(t, w.below("/local/domain/0/backend"))
}

// A front end that the toolstack wrote over is not ours to look at or to
// remove.
func TestReplacedFrontEnd(t *testing.T) {
	w := newFixture(t)
	d := w.plug()
	w.store.Write(d.Front()+"/backend", "/local/domain/0/backend/console/7/1")
	_, err := d.Look(w.ctx)
	require.ErrorIs(t, err, ErrTaken)
	require.NoError(t, d.Unplug(w.ctx))
	require.Contains(t, w.store.Dump(), d.Front()+"/state")
	require.Empty(t, w.below("/local/domain/0/backend/entropy"))

	w.store.Remove(d.Front())
	_, err = d.Look(w.ctx)
	require.ErrorIs(t, err, ErrTaken)
}

func TestLookRefusesJunk(t *testing.T) {
	w := newFixture(t)
	d := w.plug()
	for _, state := range []string{"", "x", "9", strings.Repeat("1", 1000)} {
		require.NoError(t, w.guestStore.Write(w.ctx, d.Front()+"/state", state))
		_, err := d.Look(w.ctx)
		var bad *xenstore.NodeError
		require.ErrorAs(t, err, &bad)
	}
}

// SetState writes only what changes, and nothing once our end is gone.
func TestSetState(t *testing.T) {
	w := newFixture(t)
	d := w.plug()
	require.NoError(t, d.SetState(w.ctx, Connected))
	require.Equal(t, "4", w.below("/local/domain/0/backend/entropy/7/1")["state"])
	require.NoError(t, d.Unplug(w.ctx))
	require.ErrorIs(t, d.SetState(w.ctx, Closed), xenstore.ErrNotFound)
	require.Empty(t, w.below("/local/domain/0/backend/entropy"))
}

// A driver is asked, and obeyed when it has closed; one that does not answer is
// not waited for.
func TestUnplugAsksTheDriver(t *testing.T) {
	w := newFixture(t)
	d, l, f := w.link()
	require.NoError(t, l.Close())
	done := make(chan error, 1)
	go func() {
		err := f.Await(w.ctx, "5")
		if err == nil {
			err = w.guestStore.Write(w.ctx, d.Front()+"/state", "6")
		}
		done <- err
	}()
	require.NoError(t, d.Unplug(w.ctx))
	require.NoError(t, <-done)
	require.Empty(t, w.below("/local/domain/7/device/console"))
	require.NoError(t, f.Close())

	d, l, f = w.link()
	require.NoError(t, l.Close())
	short, cancel := context.WithTimeout(w.ctx, 10*time.Millisecond)
	defer cancel()
	require.NoError(t, d.Unplug(short))
	require.Empty(t, w.below("/local/domain/7/device/console"))
	require.NoError(t, f.Close())
	w.empty()
}

// What a killed predecessor left is found and taken out; junk among it is
// passed over.
func TestLeftovers(t *testing.T) {
	w := newFixture(t)
	d := w.plug()
	for _, name := range []string{"0", "10", "01", "x"} {
		w.store.Write("/local/domain/0/backend/entropy/7/"+name, "")
	}
	list, err := Leftovers(w.ctx, w.cfg)
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, d.Front(), list[0].Front())
	require.NoError(t, list[0].Unplug(w.ctx))
	require.NotContains(t, w.store.Dump(), d.Front())
	require.NoError(t, Forget(w.ctx, w.cfg))
	require.Empty(t, w.below("/local/domain/0/backend/entropy"))
	require.NoError(t, Forget(w.ctx, w.cfg), "once more is no error")
	list, err = Leftovers(w.ctx, w.cfg)
	require.NoError(t, err)
	require.Empty(t, list)
}

// After a restore the front end makes its ring anew; a page that is not granted
// is an error and leaves nothing.
func TestConnectLeavesNothingWhenItFails(t *testing.T) {
	w := newFixture(t)
	d := w.plug()
	f, err := consoletest.TakeUp(w.ctx, w.guestStore, w.guest.Process(), d.Front())
	require.NoError(t, err)
	good := Front{Initialised, f.Ref, f.Port}
	for _, bad := range []Front{
		{Initialising, f.Ref, f.Port},
		{Initialised, f.Ref + 1, f.Port},
		{Initialised, f.Ref, f.Port + 1},
	} {
		_, err := d.Connect(bad)
		require.Error(t, err, "%+v", bad)
	}
	f.Index(3).Store(5000)
	_, err = d.Connect(good)
	require.True(t, transport.Hostile(err))
	f.Index(3).Store(0)
	require.Zero(t, w.host.Counts())
	l, err := d.Connect(good)
	require.NoError(t, err)
	require.NoError(t, l.Close())
	require.NoError(t, f.Close())
	w.empty()
}

// A transaction that meets conflicts for ever, as a guest can have it, leaves
// its turn to others in between.
func TestConflictsLeaveTheTurnToOthers(t *testing.T) {
	w := newFixture(t)
	own := xenstore.DomainPath(guestID) + "/data/mine"
	require.NoError(t, w.guestStore.Write(w.ctx, own, "0"))
	begun, conflicted := make(chan struct{}), make(chan error, 1)
	ctx, cancel := context.WithCancel(w.ctx)
	tries := 0
	go func() {
		conflicted <- w.cfg.change(ctx, func(tx *xenstore.Tx) error {
			if _, err := tx.Read(ctx, own); err != nil {
				return err
			}
			if tries++; tries == 8 { // from here on the pauses are the most of it
				close(begun)
			}
			return w.guestStore.Write(ctx, own, strconv.Itoa(tries)) // the guest is faster each time
		})
	}()
	<-begun
	d, err := Plug(w.ctx, w.cfg)
	require.NoError(t, err)
	require.Empty(t, conflicted, "the other one has given up, and only then was there a turn")
	cancel()
	require.Error(t, <-conflicted)
	require.NoError(t, d.Unplug(w.ctx))
}
