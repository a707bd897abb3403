package transport

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/internal/xendev"
	"github.com/xentropyd/xentropyd/internal/xendev/xendevtest"
	"github.com/xentropyd/xentropyd/vchan"
	"github.com/xentropyd/xentropyd/vchan/xen"
	"github.com/xentropyd/xentropyd/xenstore"
	"github.com/xentropyd/xentropyd/xenstore/xenstoretest"
)

// patience bounds what must happen; nothing is measured by it.
const patience = 2 * time.Minute

const guestID = 7

// quick is a pace for tests. The poll is long: what is to be seen by a watch must not be seen by it.
var quick = pace{poll: time.Hour, answer: 5 * time.Second, again: time.Millisecond, doubt: time.Hour}

// xenWorld is domain 0 and one guest.
type xenWorld struct {
	t           *testing.T
	ctx         context.Context
	store       *xenstoretest.Server
	hostStore   *xenstore.Client
	host, guest *xendevtest.Domain
	domain      domain // the guest's
	process     *xendevtest.Process
	hostConn    *vchan.Conn
	opened      atomic.Int64 // connections to xenstore that the guest made
}

func newXenWorld(t *testing.T) *xenWorld {
	r, p, err := os.Pipe() // the poller's own descriptors come with the first use, before anything is counted
	require.NoError(t, err)
	_, _ = r.Close(), p.Close()
	noLeaks(t)
	x, err := xendevtest.New()
	require.NoError(t, err)
	s := xenstoretest.NewServer()
	s.AddDomain(guestID, "guest")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	w := &xenWorld{t: t, ctx: ctx, store: s, host: x.Domain(0), guest: x.Domain(guestID)}
	w.hostStore, err = xenstore.Dial(ctx, s.Dialer(0))
	require.NoError(t, err)
	lock := filepath.Join(t.TempDir(), "lock")
	require.NoError(t, os.WriteFile(lock, nil, 0o600))
	w.process = w.guest.Process()
	w.domain = domain{
		store: func(ctx context.Context, opts ...xenstore.Option) (*xenstore.Client, error) {
			w.opened.Add(1)
			return xenstore.Dial(ctx, s.Dialer(guestID), opts...)
		},
		system: w.process, lock: lock, left: new(heritage), ports: new(ports), pace: quick,
	}
	t.Cleanup(func() {
		cancel()
		w.domain.left.drop()
		w.process.End()
		_ = w.hostStore.Close()
		_ = s.Close()
		_ = x.Close()
	})
	return w
}

const offerPath = "/local/domain/7/data/vchan/0/entropy"

func (w *xenWorld) announce(instance string) {
	w.store.Write("/local/domain/7/data/entropy/instance", instance, xenstore.Perm{DomID: 0, Access: xenstore.AccessRead})
}

func (w *xenWorld) renumber(to string) {
	if to != "7" { // nothing of the guest's is in a new domain's part of the store
		w.store.Remove(offerPath)
	}
	w.store.Write("/local/domain/7/domid", to, xenstore.Perm{DomID: 0, Access: xenstore.AccessRead})
}

// pair is a channel dialled by the guest and connected by the host.
func (w *xenWorld) pair() (guest Conn, host *vchan.Conn) { return w.pairAfter(func() {}) }

// pairAfter has the host come to an offer when something has happened.
func (w *xenWorld) pairAfter(happens func()) (guest Conn, host *vchan.Conn) {
	w.t.Helper()
	type dialled struct {
		c   Conn
		err error
	}
	ch := make(chan dialled, 1)
	go func() {
		c, err := dialXen(w.ctx, 0, w.domain)
		ch <- dialled{c, err}
	}()
	happens()
	host, err := xen.Connect(w.ctx, w.hostStore, guestID, offerPath, xen.ConnectOptions{System: w.host.Process()})
	require.NoError(w.t, err)
	d := <-ch
	require.NoError(w.t, d.err)
	<-d.c.(*xenConn).watch.learnt
	w.hostConn = host
	w.t.Cleanup(func() { _, _ = d.c.Close(), host.Close() })
	return d.c, host
}

// kept checks that the process has so many event channels and a page for each, and nothing else of the kernel's.
func (w *xenWorld) kept(n int) {
	w.t.Helper()
	assert.Equal(w.t, xendevtest.Counts{Grants: n, Ports: n}, w.guest.Counts())
	assert.Len(w.t, w.domain.ports.all, n)
	assert.Empty(w.t, w.guest.Bugs())
}

// gone checks that nothing of the guest is left but the event channels that its process keeps until its end, and then nothing.
func (w *xenWorld) gone() {
	w.t.Helper()
	if w.hostConn != nil {
		_ = w.hostConn.Close() // a grant lives as long as it is mapped
	}
	w.domain.left.drop()
	for path := range w.store.Dump() {
		assert.False(w.t, strings.HasPrefix(path, offerPath), "%s was left", path)
	}
	w.kept(len(w.domain.ports.all))
	w.process.End()
	assert.Equal(w.t, xendevtest.Counts{}, w.guest.Counts())
	assert.Eventually(w.t, func() bool { // the server learns of a close by and by
		return w.store.Watches(guestID) == 0 && w.store.Transactions(guestID) == 0 && w.store.Conns() == 1
	}, patience, time.Millisecond, "connections, watches or transactions were left")
	unlock, err := lockFile(w.domain.lock)
	if assert.NoError(w.t, err) {
		unlock()
	}
}

// ended reads until the channel is over.
func (w *xenWorld) ended(c Conn) error {
	w.t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err // it is over already
	}
	_, err := io.Copy(io.Discard, c)
	require.NotErrorIs(w.t, err, os.ErrDeadlineExceeded)
	return err
}

func TestXen(t *testing.T) {
	w := newXenWorld(t)
	guest, host := w.pair()
	_, err := guest.Write([]byte("hello"))
	require.NoError(t, err)
	buf := make([]byte, 5)
	_, err = io.ReadFull(host, buf)
	require.NoError(t, err)
	assert.Equal(t, "hello", string(buf))
	require.NoError(t, guest.SetReadDeadline(time.Unix(1, 0)))
	_, err = guest.Read(buf)
	assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.NoError(t, guest.Close())
	_, err = host.Read(buf)
	assert.ErrorIs(t, err, io.EOF)
	require.NoError(t, host.Close())
	assert.NoError(t, guest.Close(), "again")
	w.gone()
}

func TestXenHostGoes(t *testing.T) {
	w := newXenWorld(t)
	guest, host := w.pair()
	require.NoError(t, host.Close())
	assert.NoError(t, w.ended(guest), "a plain end")
	require.NoError(t, guest.Close())
	w.gone()
}

func TestXenNobodyConnects(t *testing.T) {
	w := newXenWorld(t)
	ctx, cancel := context.WithCancelCause(w.ctx)
	watch, err := w.hostStore.Watch(ctx, offerPath)
	require.NoError(t, err)
	enough := errors.New("enough")
	go func() {
		for {
			if _, err := watch.Wait(ctx); err != nil {
				return
			}
			if _, err := w.hostStore.Read(ctx, offerPath+"/event-channel"); err == nil {
				cancel(enough)
			}
		}
	}()
	_, err = dialXen(ctx, 0, w.domain)
	// Perhaps before the offer's maker knows that it was published.
	assert.True(t, errors.Is(err, enough) || errors.Is(err, context.Canceled), "%v", err)
	assert.ErrorContains(t, err, offerPath)
	_ = watch.Close()
	w.gone()
}

func TestXenBusy(t *testing.T) {
	w := newXenWorld(t)
	guest, _ := w.pair()
	_, err := dialXen(w.ctx, 0, w.domain)
	assert.ErrorIs(t, err, ErrBusy)
	_, err = guest.Write([]byte("still there"))
	assert.NoError(t, err)
	require.NoError(t, guest.Close())
	w.gone()
}

func TestXenRestored(t *testing.T) {
	w := newXenWorld(t)
	w.announce("a")
	guest, _ := w.pair()
	w.renumber("7") // written again, the same
	w.announce("a")
	_, err := guest.Write([]byte("still there"))
	assert.NoError(t, err)
	w.renumber("9")
	assert.ErrorIs(t, w.ended(guest), ErrRestored)
	_, err = guest.Write([]byte("x"))
	assert.ErrorIs(t, err, ErrRestored)
	require.NoError(t, guest.Close())
	w.gone()
}

func TestXenRestoredWhileWaiting(t *testing.T) {
	w := newXenWorld(t)
	watch, err := w.hostStore.Watch(w.ctx, offerPath)
	require.NoError(t, err)
	go func() {
		for {
			if _, err := watch.Wait(w.ctx); err != nil {
				return
			}
			if _, err := w.hostStore.Read(w.ctx, offerPath+"/event-channel"); err == nil {
				w.renumber("9")
				return
			}
		}
	}()
	_, err = dialXen(w.ctx, 0, w.domain)
	assert.ErrorIs(t, err, ErrRestored)
	_ = watch.Close()
	w.gone()
}

func TestXenHostRestarted(t *testing.T) {
	w := newXenWorld(t)
	w.announce("a")
	guest, _ := w.pair()
	w.store.Remove("/local/domain/7/data/entropy") // says nothing
	w.announce("b")
	assert.ErrorIs(t, w.ended(guest), ErrHostChanged)
	require.NoError(t, guest.Close())
	w.gone()
}

// TestXenHostAnnouncesLate has a host that writes its instance after it connected: the channel is its own.
func TestXenHostAnnouncesLate(t *testing.T) {
	w := newXenWorld(t)
	guest, host := w.pair()
	w.announce("a")
	w.store.Write("/local/domain/7/data/entropy/generation", "5")
	watch := guest.(*xenConn).watch
	require.Eventually(t, func() bool {
		watch.mu.Lock()
		defer watch.mu.Unlock()
		return watch.instance == "a"
	}, patience, time.Millisecond)
	w.announce("b") // this is another one
	assert.ErrorIs(t, w.ended(guest), ErrHostChanged)
	_ = host.Close()
	require.NoError(t, guest.Close())
	w.gone()
}

// TestXenNewHostTakesStandingOffer has an offer that stood while the daemon was restarted.
func TestXenNewHostTakesStandingOffer(t *testing.T) {
	w := newXenWorld(t)
	w.announce("a")
	ready := make(chan struct{})
	var once atomic.Bool
	w.store.SetFault(func(r xenstoretest.Request) xenstoretest.Fault {
		if r.Op == "READ" && strings.HasSuffix(r.Path, "instance") && r.DomID == guestID && once.CompareAndSwap(false, true) {
			close(ready)
		}
		return xenstoretest.Fault{}
	})
	guest, host := w.pairAfter(func() {
		<-ready
		w.announce("b")
	})
	_, err := guest.Write([]byte("hello"))
	require.NoError(t, err)
	buf := make([]byte, 5)
	_, err = io.ReadFull(host, buf)
	require.NoError(t, err)
	w.announce("b")
	w.store.Fire("/local/domain/7/data/entropy")
	_, err = guest.Write([]byte("hello"))
	require.NoError(t, err)
	require.NoError(t, guest.Close())
	w.gone()
}

// TestXenStoreBreaks loses the connection to xenstored: the channel lives, and what happens then is still seen.
func TestXenStoreBreaks(t *testing.T) {
	w := newXenWorld(t)
	guest, host := w.pair()
	w.store.DropAll()
	_, err := guest.Write([]byte("hello"))
	require.NoError(t, err)
	buf := make([]byte, 5)
	_, err = io.ReadFull(host, buf)
	require.NoError(t, err)
	w.renumber("9")
	assert.ErrorIs(t, w.ended(guest), ErrRestored)
	require.NoError(t, guest.Close())
	w.domain.left.drop() // not gone: the host's connection was dropped too, and nobody counts on it
}

// TestXenStoreMute gives no answer on the watch's connection until there is another one.
func TestXenStoreMute(t *testing.T) {
	w := newXenWorld(t)
	w.domain.pace.answer = 20 * time.Millisecond
	guest, _ := w.pair()
	var muted atomic.Int64
	w.store.SetFault(func(r xenstoretest.Request) xenstoretest.Fault {
		if r.Op == "READ" && r.DomID == guestID && muted.Add(1) <= 1 {
			return xenstoretest.Fault{Mute: true}
		}
		return xenstoretest.Fault{}
	})
	before := w.opened.Load()
	w.renumber("9") // its event leads to the request that nobody answers
	assert.ErrorIs(t, w.ended(guest), ErrRestored)
	assert.Greater(t, w.opened.Load(), before, "a new connection")
	require.NoError(t, guest.Close())
	w.store.SetFault(nil)
	w.gone()
}

// TestXenPoll has no watch that fires.
func TestXenPoll(t *testing.T) {
	w := newXenWorld(t)
	w.domain.pace.poll = 5 * time.Millisecond
	w.store.SetFault(func(r xenstoretest.Request) xenstoretest.Fault {
		if r.Op == "WATCH" && r.DomID == guestID && r.Path == nodeDomID {
			return xenstoretest.Fault{Error: "EINVAL"}
		}
		return xenstoretest.Fault{}
	})
	guest, _ := w.pair()
	w.renumber("9")
	assert.ErrorIs(t, w.ended(guest), ErrRestored)
	require.NoError(t, guest.Close())
	w.store.SetFault(nil)
	w.gone()
}

// TestXenFailures induces each failure of the dialling alone.
func TestXenFailures(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(w *xenWorld)
		want  string
	}{
		"no evtchn":   {func(w *xenWorld) { w.process.Missing = []string{xendev.EvtchnPath} }, "modprobe xen-evtchn"},
		"no gntalloc": {func(w *xenWorld) { w.process.Missing = []string{xendev.GntallocPath} }, "modprobe xen-gntalloc"},
		"no lock":     {func(w *xenWorld) { w.domain.lock += "x" }, "no such file"},
		"no xenstore": {func(w *xenWorld) {
			w.domain.store = func(context.Context, ...xenstore.Option) (*xenstore.Client, error) { return nil, fs.ErrPermission }
		}, "permission"},
		"no number": {func(w *xenWorld) { w.store.Remove("/local/domain/7/domid") }, "this domain's number"},
		"no data of its own": {func(w *xenWorld) {
			w.store.Write("/local/domain/7/data", "", xenstore.Perm{DomID: 0, Access: xenstore.AccessRead})
		}, "publish the offer"},
		"pages are out": {func(w *xenWorld) { w.guest.SetLimit(0) }, "limit"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newXenWorld(t)
			lock := w.domain.lock
			c.spoil(w)
			_, err := dialXen(w.ctx, 0, w.domain)
			assert.ErrorContains(t, err, c.want)
			w.domain.lock = lock
			w.gone()
		})
	}
}

func TestXenAddresses(t *testing.T) {
	for _, good := range []string{"xen:", "xen:0", "xen:32751", "console:", "console:org.openmirage.entropy.1", "console:/dev/hvc1"} {
		a, err := Parse(good)
		assert.NoError(t, err)
		assert.Equal(t, good, a.String())
	}
	for bad, want := range map[string]string{
		"xen:32752": "column 5: no domain", "xen:99999999999999999999": "column 5: no domain", "xen:1x": "column 6: want the number", "xen:-1": "column 5: want",
		"xen:00": "column 5: a number does not", "console:a\n": "column 10: control", "console://a": "column 9: a path", "console:/dev/": "column 13: this is a directory",
		"console:" + strings.Repeat("x", 257): "column 265: 257 bytes",
	} {
		_, err := Parse(bad)
		assert.ErrorIs(t, err, ErrAddress)
		assert.ErrorContains(t, err, want)
	}
	for _, address := range []string{"xen:", "console:"} {
		_, err := Listen(address, ListenOptions{})
		assert.ErrorIs(t, err, errors.ErrUnsupported)
	}
}

func TestMissingDevices(t *testing.T) {
	only := func(there ...string) func(string) (fs.FileInfo, error) {
		return func(path string) (fs.FileInfo, error) {
			for _, p := range there {
				if p == path {
					return nil, nil
				}
			}
			return nil, fs.ErrNotExist
		}
	}
	base := errors.New("x")
	assert.ErrorContains(t, explain(base, missing(only())), "no Xen guest")
	assert.ErrorContains(t, explain(base, missing(only(xenstore.DevicePath))), "modprobe -a xen-evtchn xen-gntalloc")
	err := explain(base, missing(only(xenstore.DevicePath, xendev.EvtchnPath)))
	assert.ErrorIs(t, err, base)
	assert.True(t, strings.HasSuffix(err.Error(), "modprobe -a xen-gntalloc"), err)
	all := missing(only(xenstore.DevicePath, xendev.EvtchnPath, xendev.GntallocPath))
	assert.Empty(t, all)
	assert.Equal(t, base, explain(base, all))
}

// becomes9 has the guest restored as domain 9, of which it may write its part of the store.
func (w *xenWorld) becomes9() (path string) {
	w.store.Write("/local/domain/9/data", "", xenstore.Perm{DomID: guestID, Access: xenstore.AccessNone})
	w.renumber("9")
	return "/local/domain/9/data/vchan/0/entropy"
}

// TestXenNextChannel has the host come to a restored guest before that has noticed.
func TestXenNextChannel(t *testing.T) {
	w := newXenWorld(t)
	w.announce("a")
	guest, _ := w.pair()
	path := w.becomes9()
	host, err := xen.Connect(w.ctx, w.hostStore, guestID, path, xen.ConnectOptions{System: w.host.Process()})
	require.NoError(t, err)
	_, err = host.Write([]byte("welcome"))
	require.NoError(t, err)

	assert.ErrorIs(t, w.ended(guest), ErrRestored)
	require.NoError(t, guest.Close())
	_, err = lockFile(w.domain.lock)
	assert.ErrorIs(t, err, ErrBusy, "the next dial has it")
	next, err := dialXen(w.ctx, 0, w.domain)
	require.NoError(t, err)
	assert.Same(t, guest.(*xenConn).has.store, next.(*xenConn).has.store, "the connection to xenstore")
	b := make([]byte, 7)
	_, err = io.ReadFull(next, b)
	require.NoError(t, err)
	assert.Equal(t, "welcome", string(b))

	require.NoError(t, next.Close())
	assert.NotContains(t, w.store.Dump(), path)
	require.NoError(t, host.Close())
	w.gone()
}

// TestXenNobodyDials has a restored guest whose program does not go on.
func TestXenNobodyDials(t *testing.T) {
	for name, again := range map[string]bool{"restored once": false, "restored again": true} {
		t.Run(name, func(t *testing.T) {
			w := newXenWorld(t)
			guest, _ := w.pair()
			path := w.becomes9()
			assert.ErrorIs(t, w.ended(guest), ErrRestored)
			require.NoError(t, guest.Close())
			assert.Contains(t, w.store.Dump(), path)
			if again {
				w.renumber("10")
			}
			w.domain.left.drop()
			assert.NotContains(t, w.store.Dump(), path)
			assert.Len(t, w.domain.ports.all, 2)
			w.gone()
		})
	}
}

// TestHeritageTwice has two channels leave something, which happens where nothing is locked: the first one's is given back, the second one's is kept.
func TestHeritageTwice(t *testing.T) {
	h, unlocked := new(heritage), ""
	for _, name := range []string{"first", "second"} {
		h.leave(belongings{unlock: func() { unlocked += name }})
	}
	assert.Equal(t, "first", unlocked)
	h.drop()
	assert.Equal(t, "firstsecond", unlocked)
	assert.Nil(t, h.take())
}

// TestXenAnotherHost has the next dial go elsewhere.
func TestXenAnotherHost(t *testing.T) {
	w := newXenWorld(t)
	guest, _ := w.pair()
	path := w.becomes9()
	assert.ErrorIs(t, w.ended(guest), ErrRestored)
	require.NoError(t, guest.Close())
	_, err := dialXen(w.ctx, 3, w.domain)
	assert.ErrorIs(t, err, xenstore.ErrPermission, "domain 7 is not really domain 9")
	assert.NotContains(t, w.store.Dump(), path)
	assert.NotContains(t, w.store.Dump(), "/local/domain/9/data/vchan/3/entropy", "half an offer")
	w.gone()
}
