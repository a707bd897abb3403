package xen

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

	"github.com/xentropyd/xentropyd/internal/leaktest"
	"github.com/xentropyd/xentropyd/internal/xendev"
	"github.com/xentropyd/xentropyd/internal/xendev/xendevtest"
	"github.com/xentropyd/xentropyd/transport"
	"github.com/xentropyd/xentropyd/transport/internal/domain"
	"github.com/xentropyd/xentropyd/vchan"
	vchanxen "github.com/xentropyd/xentropyd/vchan/xen"
	"github.com/xentropyd/xentropyd/xenstore"
	"github.com/xentropyd/xentropyd/xenstore/xenstoretest"
)

// patience bounds what must happen; nothing is measured by it.
const patience = 2 * time.Minute

const guestID = 7

// How the tests wait. The poll is long: what is to be seen by a watch must not
// be seen by it.
var (
	quickWatch = domain.Timing{Poll: time.Hour, Answer: 5 * time.Second, Again: time.Millisecond}
	quick      = timing{doubt: time.Hour, idle: time.Hour, answer: 5 * time.Second}
)

// xenHost is domain 0 and one guest.
type xenHost struct {
	t           *testing.T
	ctx         context.Context
	store       *xenstoretest.Server
	hostStore   *xenstore.Client
	host, guest *xendevtest.Domain
	machine     *machine // the guest's
	attachment  *attachment
	process     *xendevtest.Process
	hostConn    *vchan.Conn
	opened      atomic.Int64 // connections to xenstore that the guest made
}

func newXenHost(t *testing.T) *xenHost {
	leaktest.Check(t)
	x, err := xendevtest.New()
	require.NoError(t, err)
	s := xenstoretest.NewServer()
	s.AddDomain(guestID, "guest")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	w := &xenHost{t: t, ctx: ctx, store: s, host: x.Domain(0), guest: x.Domain(guestID)}
	w.hostStore, err = xenstore.Dial(ctx, s.Dialer(0))
	require.NoError(t, err)
	lock := filepath.Join(t.TempDir(), "lock")
	require.NoError(t, os.WriteFile(lock, nil, 0o600))
	w.process = w.guest.Process()
	w.machine = &machine{
		opener: func(ctx context.Context, opts ...xenstore.Option) (*xenstore.Client, error) {
			w.opened.Add(1)
			return xenstore.Dial(ctx, s.Dialer(guestID), opts...)
		},
		system: w.process, lock: lock, ports: new(ports), timing: quickWatch,
	}
	w.attachment = newAttachment(w.machine, quick)
	t.Cleanup(func() {
		cancel()
		w.attachment.drop()
		w.process.End()
		_ = w.hostStore.Close()
		_ = s.Close()
		_ = x.Close()
	})
	return w
}

// dial is the guest's.
func (w *xenHost) dial(ctx context.Context, host uint16) (transport.Conn, error) {
	c, err := w.attachment.dial(ctx, host)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// look gives what the attachment says in a step.
func look[T any](w *xenHost, f func(a *attachment) T) T {
	w.t.Helper()
	require.NoError(w.t, w.attachment.enter(w.ctx))
	defer w.attachment.leave()
	return f(w.attachment)
}

// learnt returns when the guest has asked which host has come.
func (w *xenHost) learnt() {
	require.Eventually(w.t, func() bool { return w.attachment.told.Load() == w.attachment.turn.Load() },
		patience, time.Millisecond)
}

const offerPath = "/local/domain/7/data/vchan/0/entropy"

func (w *xenHost) announce(instance string) {
	w.store.Write("/local/domain/7/data/entropy/instance", instance,
		xenstore.Perm{DomID: 0, Access: xenstore.AccessRead})
}

func (w *xenHost) renumber(to string) {
	if to != "7" { // nothing of the guest's is in a new domain's part of the store
		w.store.Remove(offerPath)
	}
	w.store.Write("/local/domain/7/domid", to, xenstore.Perm{DomID: 0, Access: xenstore.AccessRead})
}

// pair is a channel dialled by the guest and connected by the host.
func (w *xenHost) pair() (guest transport.Conn, host *vchan.Conn) { return w.pairAfter(func() {}) }

// pairAfter has the host come to an offer when something has happened.
func (w *xenHost) pairAfter(happens func()) (guest transport.Conn, host *vchan.Conn) {
	w.t.Helper()
	type dialled struct {
		c   transport.Conn
		err error
	}
	ch := make(chan dialled, 1)
	go func() {
		c, err := w.dial(w.ctx, 0)
		ch <- dialled{c, err}
	}()
	happens()
	host, err := vchanxen.Connect(w.ctx, w.hostStore, guestID, offerPath,
		vchanxen.ConnectOptions{System: w.host.Process()})
	require.NoError(w.t, err)
	d := <-ch
	require.NoError(w.t, d.err)
	w.learnt()
	w.hostConn = host
	w.t.Cleanup(func() { _, _ = d.c.Close(), host.Close() })
	return d.c, host
}

// kept checks that the process has so many event channels and a page for each,
// and nothing else of the kernel's.
func (w *xenHost) kept(n int) {
	w.t.Helper()
	assert.Equal(w.t, xendevtest.Counts{Grants: n, Ports: n}, w.guest.Counts())
	assert.Len(w.t, w.machine.ports.all, n)
	assert.Empty(w.t, w.guest.Bugs())
}

// gone checks that nothing of the guest is left but the event channels that its
// process keeps until its end, and then nothing.
func (w *xenHost) gone() {
	w.t.Helper()
	if w.hostConn != nil {
		_ = w.hostConn.Close() // a grant lives as long as it is mapped
	}
	w.attachment.drop()
	for path := range w.store.Dump() {
		assert.False(w.t, strings.HasPrefix(path, offerPath), "%s was left", path)
	}
	w.kept(len(w.machine.ports.all))
	w.process.End()
	assert.Equal(w.t, xendevtest.Counts{}, w.guest.Counts())
	assert.Eventually(w.t, func() bool { // the server learns of a close by and by
		return w.store.Watches(guestID) == 0 && w.store.Transactions(guestID) == 0 && w.store.Conns() == 1
	}, patience, time.Millisecond, "connections, watches or transactions were left")
	unlock, err := domain.Lock(w.machine.lock)
	if assert.NoError(w.t, err) {
		unlock()
	}
}

// ended reads until the channel is over.
func (w *xenHost) ended(c transport.Conn) error {
	w.t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err // it is over already
	}
	_, err := io.Copy(io.Discard, c)
	require.NotErrorIs(w.t, err, os.ErrDeadlineExceeded)
	return err
}

func TestXen(t *testing.T) {
	w := newXenHost(t)
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
	w := newXenHost(t)
	guest, host := w.pair()
	require.NoError(t, host.Close())
	assert.NoError(t, w.ended(guest), "a plain end")
	require.NoError(t, guest.Close())
	w.gone()
}

func TestXenNobodyConnects(t *testing.T) {
	w := newXenHost(t)
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
	_, err = w.dial(ctx, 0)
	// Perhaps before the offer's maker knows that it was published.
	assert.True(t, errors.Is(err, enough) || errors.Is(err, context.Canceled), "%v", err)
	assert.ErrorContains(t, err, offerPath)
	_ = watch.Close()
	w.gone()
}

func TestXenBusy(t *testing.T) {
	w := newXenHost(t)
	guest, _ := w.pair()
	_, err := w.dial(w.ctx, 0)
	assert.ErrorIs(t, err, transport.ErrBusy)
	_, err = guest.Write([]byte("still there"))
	assert.NoError(t, err)
	require.NoError(t, guest.Close())
	w.gone()
}

func TestXenRestored(t *testing.T) {
	w := newXenHost(t)
	w.announce("a")
	guest, _ := w.pair()
	w.renumber("7") // written again, the same
	w.announce("a")
	_, err := guest.Write([]byte("still there"))
	assert.NoError(t, err)
	w.renumber("9")
	assert.ErrorIs(t, w.ended(guest), transport.ErrRestored)
	_, err = guest.Write([]byte("x"))
	assert.ErrorIs(t, err, transport.ErrRestored)
	require.NoError(t, guest.Close())
	w.gone()
}

func TestXenRestoredWhileWaiting(t *testing.T) {
	w := newXenHost(t)
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
	_, err = w.dial(w.ctx, 0)
	assert.ErrorIs(t, err, transport.ErrRestored)
	_ = watch.Close()
	w.gone()
}

func TestXenHostRestarted(t *testing.T) {
	w := newXenHost(t)
	w.announce("a")
	guest, _ := w.pair()
	w.store.Remove("/local/domain/7/data/entropy") // says nothing
	w.announce("b")
	assert.ErrorIs(t, w.ended(guest), transport.ErrHostChanged)
	require.NoError(t, guest.Close())
	w.gone()
}

// TestXenHostAnnouncesLate has a host that writes its instance after it
// connected: the channel is its own.
func TestXenHostAnnouncesLate(t *testing.T) {
	w := newXenHost(t)
	guest, host := w.pair()
	w.announce("a")
	w.store.Write("/local/domain/7/data/entropy/arrival", "5")
	require.Eventually(t, func() bool {
		return look(w, func(a *attachment) bool { return a.in.Instance == "a" })
	}, patience, time.Millisecond)
	w.announce("b") // this is another one
	assert.ErrorIs(t, w.ended(guest), transport.ErrHostChanged)
	_ = host.Close()
	require.NoError(t, guest.Close())
	w.gone()
}

// TestXenNewHostTakesStandingOffer has an offer that stood while the daemon was
// restarted.
func TestXenNewHostTakesStandingOffer(t *testing.T) {
	w := newXenHost(t)
	w.announce("a")
	ready := make(chan struct{})
	var once atomic.Bool
	w.store.SetFault(func(r xenstoretest.Request) xenstoretest.Fault {
		if r.Op == "READ" && strings.HasSuffix(r.Path, "instance") && r.DomID == guestID &&
			once.CompareAndSwap(false, true) {
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

// TestXenStoreBreaks loses the connection to xenstored: the channel lives, and
// what happens then is still seen.
func TestXenStoreBreaks(t *testing.T) {
	w := newXenHost(t)
	guest, host := w.pair()
	w.store.DropAll()
	_, err := guest.Write([]byte("hello"))
	require.NoError(t, err)
	buf := make([]byte, 5)
	_, err = io.ReadFull(host, buf)
	require.NoError(t, err)
	w.renumber("9")
	assert.ErrorIs(t, w.ended(guest), transport.ErrRestored)
	require.NoError(t, guest.Close())
	w.attachment.drop() // not gone: the host's connection was dropped too, and nobody counts on it
}

// TestXenStoreMute gives no answer on the watch's connection until there is
// another one.
func TestXenStoreMute(t *testing.T) {
	w := newXenHost(t)
	w.machine.timing.Answer = 20 * time.Millisecond
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
	assert.ErrorIs(t, w.ended(guest), transport.ErrRestored)
	assert.Greater(t, w.opened.Load(), before, "a new connection")
	require.NoError(t, guest.Close())
	w.store.SetFault(nil)
	w.gone()
}

// TestXenPoll has no watch that fires.
func TestXenPoll(t *testing.T) {
	w := newXenHost(t)
	w.machine.timing.Poll = 5 * time.Millisecond
	w.store.SetFault(func(r xenstoretest.Request) xenstoretest.Fault {
		if r.Op == "WATCH" && r.DomID == guestID && r.Path == "domid" {
			return xenstoretest.Fault{Error: "EINVAL"}
		}
		return xenstoretest.Fault{}
	})
	guest, _ := w.pair()
	w.renumber("9")
	assert.ErrorIs(t, w.ended(guest), transport.ErrRestored)
	require.NoError(t, guest.Close())
	w.store.SetFault(nil)
	w.gone()
}

// TestXenFailures induces each failure of the dialling alone.
func TestXenFailures(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(w *xenHost)
		want  string
	}{
		"no evtchn": {func(w *xenHost) { w.process.Missing = []string{xendev.EvtchnPath} }, "modprobe xen-evtchn"},
		"no gntalloc": {
			func(w *xenHost) { w.process.Missing = []string{xendev.GntallocPath} },
			"modprobe xen-gntalloc",
		},
		"no lock": {func(w *xenHost) { w.machine.lock += "x" }, "no such file"},
		"no xenstore": {func(w *xenHost) {
			w.machine.opener = func(context.Context, ...xenstore.Option) (*xenstore.Client,
				error,
			) {
				return nil, fs.ErrPermission
			}
		}, "permission"},
		"no number": {func(w *xenHost) { w.store.Remove("/local/domain/7/domid") }, "this domain's number"},
		"no data of its own": {func(w *xenHost) {
			w.store.Write("/local/domain/7/data", "", xenstore.Perm{DomID: 0, Access: xenstore.AccessRead})
		}, "publish the offer"},
		"pages are out": {func(w *xenHost) { w.guest.SetLimit(0) }, "limit"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newXenHost(t)
			lock := w.machine.lock
			c.spoil(w)
			_, err := w.dial(w.ctx, 0)
			assert.ErrorContains(t, err, c.want)
			w.machine.lock = lock
			w.gone()
		})
	}
}

// becomes9 has the guest restored as domain 9, of which it may write its part
// of the store.
func (w *xenHost) becomes9() (path string) {
	w.store.Write("/local/domain/9/data", "", xenstore.Perm{DomID: guestID, Access: xenstore.AccessNone})
	w.renumber("9")
	return "/local/domain/9/data/vchan/0/entropy"
}

// TestXenNextChannel has the host come to a restored guest before that has
// noticed.
func TestXenNextChannel(t *testing.T) {
	w := newXenHost(t)
	w.announce("a")
	guest, _ := w.pair()
	kept := look(w, func(a *attachment) hold { return a.hold })
	path := w.becomes9()
	host, err := vchanxen.Connect(w.ctx, w.hostStore, guestID, path, vchanxen.ConnectOptions{System: w.host.Process()})
	require.NoError(t, err)
	_, err = host.Write([]byte("welcome"))
	require.NoError(t, err)

	assert.ErrorIs(t, w.ended(guest), transport.ErrRestored)
	require.NoError(t, guest.Close())
	_, err = domain.Lock(w.machine.lock)
	assert.ErrorIs(t, err, transport.ErrBusy, "the next dial has it")
	next, err := w.dial(w.ctx, 0)
	require.NoError(t, err)
	assert.Same(t, kept, look(w, func(a *attachment) hold { return a.hold }), "the connection to xenstore")
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
			w := newXenHost(t)
			guest, _ := w.pair()
			path := w.becomes9()
			assert.ErrorIs(t, w.ended(guest), transport.ErrRestored)
			require.NoError(t, guest.Close())
			assert.Contains(t, w.store.Dump(), path)
			if again {
				w.renumber("10")
			}
			w.attachment.drop()
			assert.NotContains(t, w.store.Dump(), path)
			assert.Len(t, w.machine.ports.all, 2)
			w.gone()
		})
	}
}

// TestXenAnotherHost has the next dial go elsewhere.
func TestXenAnotherHost(t *testing.T) {
	w := newXenHost(t)
	guest, _ := w.pair()
	path := w.becomes9()
	assert.ErrorIs(t, w.ended(guest), transport.ErrRestored)
	require.NoError(t, guest.Close())
	_, err := w.dial(w.ctx, 3)
	assert.ErrorIs(t, err, xenstore.ErrPermission, "domain 7 is not really domain 9")
	assert.NotContains(t, w.store.Dump(), path)
	assert.NotContains(t, w.store.Dump(), "/local/domain/9/data/vchan/3/entropy", "half an offer")
	w.gone()
}
