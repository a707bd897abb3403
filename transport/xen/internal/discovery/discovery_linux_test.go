package discovery

import (
	"encoding/binary"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/internal/xendev"
	"github.com/xentropyd/xentropyd/internal/xendev/xendevtest"
	"github.com/xentropyd/xentropyd/transport"
	"github.com/xentropyd/xentropyd/transport/console/consoletest"
	"github.com/xentropyd/xentropyd/xenstore"
	"github.com/xentropyd/xentropyd/xenstore/xenstoretest"
)

const frontPath = "/device/console/1"

// A guest that offers is connected, named by what the toolstack says, and
// everything of ours goes at the end.
func TestVChan(t *testing.T) {
	w := newFixture(t)
	w.listen(all("i1"))
	g := w.add(3, "weß \x1b[31m guest", uuid(1))
	conn := g.offer()
	a := w.next()
	require.Equal(t, transport.Peer{
		ID: "domain " + uuid(1), Group: "domain 3", Name: "weß ?[31m guest", Carrier: "vchan",
		First: true, Incarnation: "domain 3",
	}, a.peer)
	echo(t, a.ch, conn, "hello")
	for node, want := range map[string]string{"instance": "i1", "arrival": "1"} {
		got, err := g.store.Read(w.ctx, "/local/domain/3/data/entropy/"+node)
		require.NoError(t, err)
		require.Equal(t, want, got)
		perms, err := w.d.cfg.Store.GetPerms(w.ctx, "/local/domain/3/data/entropy/"+node)
		require.NoError(t, err)
		require.Equal(t, []xenstore.Perm{
			{DomID: 0, Access: xenstore.AccessNone},
			{DomID: 3, Access: xenstore.AccessRead},
		}, perms)
	}
	all := w.d.Domains()
	require.Len(t, all, 1)
	require.Equal(t, transport.DomainServed, all[0].State)
	got := all[0].Carriers[0]
	require.Equal(t, transport.CarrierStatus{Carrier: "vchan", Connected: true, Connects: 1}, got)

	// The host ends the session, the guest offers anew. The host may read a
	// node of the old offer and one of the new, and is not misled by that.
	for range 6 {
		require.NoError(t, a.ch.Close())
		require.NoError(t, conn.Close())
		conn = g.offer()
		a = w.afresh(conn)
		echo(t, a.ch, conn, "again")
	}
	require.NoError(t, conn.Close())
	require.NoError(t, a.ch.Close())
	w.stop()
	require.False(t, w.has("/local/domain/3/data/entropy"))
	require.False(t, w.has("/local/domain/3/device/console/1"))
	require.Zero(t, w.below("/local/domain/0/backend/entropy"))
	_, _, err := w.d.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
	require.Zero(t, w.xen.Domain(0).Counts())
}

// A guest with nothing of ours: the console appears, it takes it up, writes,
// and is served; twice in a row.
func TestConsole(t *testing.T) {
	w := newFixture(t)
	w.listen(consoleOnly)
	g := w.add(3, "plain", uuid(1))
	f, err := consoletest.TakeUp(w.ctx, g.store, g.sys, xenstore.DomainPath(3)+frontPath)
	require.NoError(t, err)
	f.SetDeadline(time.Now().Add(patience))
	require.NoError(t, f.Await(w.ctx, "4"))
	select {
	case <-w.peers:
		t.Fatal("a channel before the guest wrote anything")
	default:
	}
	for range 2 {
		_, err = f.Write([]byte("first words ")) // there is room for it
		require.NoError(t, err)
		a := w.next()
		require.Equal(t, "console", a.peer.Carrier)
		p := make([]byte, 12)
		for at := 0; at < len(p); {
			n, err := a.ch.Read(p[at:])
			require.NoError(t, err)
			at += n
		}
		echo(t, a.ch, f, "x")
		require.NoError(t, a.ch.Close())
	}
	// The guest's driver makes its ring anew, as when it is bound again: it is
	// connected again.
	require.NoError(t, f.Resume(w.ctx, g.sys))
	_, err = f.Write([]byte("z"))
	require.NoError(t, err)
	a := w.next()
	one := make([]byte, 1)
	_, err = a.ch.Read(one)
	require.NoError(t, err)
	require.Equal(t, "z", string(one))
	echo(t, a.ch, f, "on the new ring")
	require.NoError(t, a.ch.Close())
	require.NoError(t, f.Close())
	w.stop()
	require.False(t, w.has("/local/domain/3"+frontPath))
	require.Zero(t, w.xen.Domain(0).Counts())
}

// A console that the guest does not see is taken away and plugged again: a
// restored Linux needs that.
func TestConsoleIsPluggedAgain(t *testing.T) {
	w := newFixture(t)
	w.listen(consoleOnly)
	g := w.add(3, "g", uuid(1))
	path := xenstore.DomainPath(3) + frontPath
	watch, err := g.store.Watch(w.ctx, path)
	require.NoError(t, err)
	defer func() { _ = watch.Close() }()
	seen := []bool{false}
	for len(seen) < 4 {
		_, err := watch.Wait(w.ctx)
		require.NoError(t, err)
		_, err = g.store.Read(w.ctx, path+"/state")
		if there := err == nil; there != seen[len(seen)-1] {
			seen = append(seen, there)
		}
	}
	require.Equal(t, []bool{false, true, false, true}, seen)
}

// What is mapped of a dead domain goes at once, with or without the toolstack
// removing its nodes. A guest that writes to its front end all the time makes
// each transaction with that meet a conflict. Nothing of ours stays behind for
// it.
func TestConflictsLeaveNothing(t *testing.T) {
	w := newFixture(t)
	w.listen(consoleOnly)
	g := w.add(5, "g", uuid(5))
	const front, back = "/local/domain/5/device/console/1", "/local/domain/0/backend/entropy/5"
	w.eventually(func() bool { return w.has(front + "/state") }, "plugged")
	doomed := make(map[uint32]bool) // the server asks one request after the other
	w.store.SetFault(func(r xenstoretest.Request) xenstoretest.Fault {
		switch {
		case r.Tx != 0 && r.DomID == 0 && strings.HasPrefix(r.Path, "/local/domain/5/device/"):
			doomed[r.Tx] = true
		case r.Op == "TRANSACTION_END" && doomed[r.Tx]:
			return xenstoretest.Fault{Error: "EAGAIN"}
		}
		return xenstoretest.Fault{}
	})
	defer w.store.SetFault(nil)
	require.NoError(t, g.store.Write(w.ctx, front+"/state", "junk"))
	w.eventually(func() bool { return w.below(back) == 0 }, "taken out in spite of conflicts")
	g.destroy()
	w.eventually(func() bool { return len(w.d.Domains()) == 0 }, "gone")
	w.eventually(func() bool { return w.below(back) == 0 }, "nothing left")
}

// A guest that offers anew has no use for the channel that it had, even if
// nothing else says so.
func TestOfferReplaced(t *testing.T) {
	w := newFixture(t)
	w.listen(vchanOnly)
	g := w.add(3, "g", uuid(1))
	old := g.offer()
	a := w.next()
	echo(t, a.ch, old, "first")
	theirs := g.offer()
	b := w.next()
	_, err := a.ch.Read(make([]byte, 1))
	require.ErrorIs(t, err, errReplaced)
	echo(t, b.ch, theirs, "second")
	require.NoError(t, old.Close()) // an old one's end does not touch the new one
	echo(t, b.ch, theirs, "still there")
	require.NoError(t, b.ch.Close())
}

// A toolstack that destroys a domain takes its devices and its name first. That
// is no trouble, and the guest still has its name.
func TestDomainBeingDestroyed(t *testing.T) {
	w := newFixture(t)
	w.listen(consoleOnly)
	w.add(3, "g", uuid(1))
	w.eventually(func() bool { return w.has("/local/domain/3/device/console/1/state") }, "plugged")
	w.store.Remove("/local/domain/3/device")
	w.store.Remove("/local/domain/3/name")
	w.eventually(func() bool { return w.has("/local/domain/3/device/console/1/state") },
		"plugged again: it could have been a mistake")
	d := w.d.Domains()
	require.Len(t, d, 1)
	require.Equal(t, "g", d[0].Name)
	require.Equal(t, transport.DomainServed, d[0].State)
	require.Empty(t, failures(d[0]))
	w.store.Remove("/local/domain/3/device")
	w.eventually(func() bool { return failures(w.d.Domains()[0]) != "" }, "said when it happens again")
}

// failures are the carriers' last errors.
func failures(d transport.Domain) (all string) {
	for _, c := range d.Carriers {
		all += c.LastError
	}
	return all
}

func TestDestroyedGuest(t *testing.T) {
	w := newFixture(t)
	w.listen(all("instance"))
	g, other := w.add(3, "g", uuid(1)), w.add(4, "other", uuid(2))
	g.offer()
	a := w.next()
	theirs := other.offer()
	b := w.next()
	dead := w.xen.Domain(3)
	dead.Destroy()
	require.True(t, dead.Zombie())
	w.store.ReleaseDomain(3)
	w.eventually(func() bool { return !dead.Zombie() }, "unmapped")
	_, err := a.ch.Read(make([]byte, 1))
	require.ErrorIs(t, err, errGone)
	w.eventually(func() bool { return w.below("/local/domain/0/backend/entropy/3") == 0 }, "back end removed")
	w.store.Remove("/local/domain/3")
	echo(t, b.ch, theirs, "untouched")
	require.NoError(t, b.ch.Close())
	w.eventually(func() bool { return len(w.d.Domains()) == 1 }, "one left")
	require.False(t, w.has("/local/domain/3"))
}

// A guest that reboots or is restored has a new number and the same ID; a clone
// another ID. Each is another arrival.
func TestIncarnations(t *testing.T) {
	w := newFixture(t)
	w.listen(vchanOnly)
	seen := make(map[string]bool)
	for i, id := range []int{1, 1, 2} {
		domid := uint16(10 + i)
		g := w.add(domid, "g", uuid(id))
		g.offer()
		a := w.next()
		require.Equal(t, "domain "+uuid(id), a.peer.ID)
		require.Equal(t, fmt.Sprintf("domain %d", domid), a.peer.Incarnation)
		n, err := g.store.Read(w.ctx, xenstore.DomainPath(domid)+"/data/entropy/arrival")
		require.NoError(t, err)
		require.False(t, seen[n])
		seen[n] = true
		g.destroy()
	}
	// The same number at once for another domain.
	w.add(20, "old", uuid(7)).offer()
	require.Equal(t, "domain "+uuid(7), w.next().peer.ID)
	w.xen.Domain(20).Destroy()
	w.store.Remove("/local/domain/20/data")
	w.store.ReleaseDomain(20)
	w.add(20, "new", uuid(8)).offer()
	require.Equal(t, "domain "+uuid(8), w.next().peer.ID)
}

// A killed daemon leaves nodes; the next one clears them away, takes the guests
// up, and tells them.
func TestRestart(t *testing.T) {
	w := newFixture(t)
	w.listen(all("first"))
	g := w.add(3, "g", uuid(1))
	conn := g.offer()
	w.next()
	f, err := consoletest.TakeUp(w.ctx, g.store, g.sys, xenstore.DomainPath(3)+frontPath)
	require.NoError(t, err)
	require.NoError(t, f.Await(w.ctx, "4"))
	left := w.store.Dump()
	w.stop()
	for p, v := range left { // put back what a kill would have left
		if !w.has(p) {
			perms := []xenstore.Perm{{DomID: 0}, {DomID: 3, Access: xenstore.AccessRead}}
			if p == "/local/domain/3/device/console/1/state" {
				perms = []xenstore.Perm{{DomID: 3}, {DomID: 0, Access: xenstore.AccessRead}}
			}
			for i := range perms {
				if perms[i].Access == 0 {
					perms[i].Access = xenstore.AccessNone
				}
			}
			w.store.Write(p, v, perms...)
		}
	}
	w.store.Write("/local/domain/0/backend/entropy/99/1/state", "4") // of a guest that went meanwhile
	require.NoError(t, conn.Close())
	require.NoError(t, f.Close())

	w.host = w.xen.Domain(0).Process()
	w.listen(all("second"))
	w.eventually(func() bool { return w.store.Dump()["/local/domain/3/data/entropy/instance"] == "second" },
		"announced")
	g.offer()
	require.Equal(t, "vchan", w.next().peer.Carrier)
	f, err = consoletest.TakeUp(w.ctx, g.store, g.sys, xenstore.DomainPath(3)+frontPath)
	require.NoError(t, err)
	require.NoError(t, f.Await(w.ctx, "4"))
	w.eventually(func() bool { return !w.has("/local/domain/0/backend/entropy/99") }, "swept")
	require.NoError(t, f.Close())
}

func TestAllowAndDeny(t *testing.T) {
	w := newFixture(t)
	w.listen(Options{Config: Config{Allow: []string{"web-*", uuid(5)}, Deny: []string{"web-bad"}, VChan: true}})
	for i, name := range []string{"web-1", "web-bad", "db", "moved--incoming", "by uuid"} {
		w.add(uint16(10+i), name, uuid(1+i)).offer()
	}
	got := map[string]bool{w.next().peer.Name: true, w.next().peer.Name: true}
	require.Equal(t, map[string]bool{"web-1": true, "by uuid": true}, got)
	// The end of a migration renames the domain.
	w.store.Write("/local/domain/13/name", "web-moved")
	moved := w.next()
	require.Equal(t, "web-moved", moved.peer.Name)
	require.NoError(t, moved.ch.Close())
	require.False(t, w.has("/local/domain/11/data/entropy"))
	states := make(map[uint16]transport.DomainState)
	w.eventually(func() bool {
		for _, d := range w.d.Domains() {
			states[d.DomID] = d.State
		}
		return states[11] == transport.DomainDenied && states[12] == transport.DomainDenied
	}, "denied")
	// And one that is not allowed any more loses what it has.
	w.store.Write("/local/domain/13/name", "db-moved")
	w.eventually(func() bool { return !w.has("/local/domain/13/data/entropy") }, "withdrawn")
	require.Equal(t, transport.DomainServed, states[10])
}

// Our own domain is passed over, whichever it is, and so is everything below
// /local/domain that is no number.
func TestOwnDomainAndJunk(t *testing.T) {
	w := newFixture(t)
	w.store.Write("/local/domain/01", "")
	w.store.Write("/local/domain/x", "")
	w.store.Write("/local/domain/32752", "")
	w.store.Write("/local/domain/9/name", "not introduced")
	w.listen(all("instance"))
	w.add(3, "g", "no uuid at all")
	w.eventually(func() bool { return len(w.d.Domains()) == 1 }, "found")
	d := w.d.Domains()[0]
	require.Equal(t, "domain 3", d.ID)
	require.Empty(t, d.UUID)
}

// Junk in the nodes costs its guest its connection, one line in the log, and
// the others nothing.
func TestHostileGuests(t *testing.T) {
	w := newFixture(t)
	w.listen(all("instance"))
	bad, good := w.add(3, "bad", uuid(1)), w.add(4, "good", uuid(2))
	path := "/local/domain/3/data/vchan/0/entropy"
	require.NoError(t, bad.store.Write(w.ctx, path+"/ring-ref", "junk"))
	require.NoError(t, bad.store.Write(w.ctx, path+"/event-channel", "99999999999999999"))
	for i := range 300 { // a directory full of things
		require.NoError(t, bad.store.Write(w.ctx, path+"/n"+strconv.Itoa(i), "x"))
	}
	// Before it is plugged the guest could take the console's place, which
	// would then be the second, third and so on.
	state := "/local/domain/3" + frontPath + "/state"
	w.eventually(func() bool { return w.has(state) }, "plugged")
	require.NoError(t, bad.store.Write(w.ctx, state, "junk"))
	w.eventually(func() bool { return w.log.count("carrier=vchan") > 0 && w.log.count("carrier=console") > 0 }, "said")

	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				_ = bad.store.Write(w.ctx, path+"/ring-ref", strconv.Itoa(i%5))
				_ = bad.store.Write(w.ctx, state, strconv.Itoa(i%12))
				time.Sleep(200 * time.Microsecond) // the store in memory has one lock, which is not what is tested here
			}
		}
	}()
	conn := good.offer()
	a := w.next()
	require.Equal(t, "good", a.peer.Name)
	echo(t, a.ch, conn, "fine")
	late := w.add(5, "late", uuid(3))
	conn = late.offer()
	a = w.next()
	require.Equal(t, "late", a.peer.Name)
	echo(t, a.ch, conn, "fine, too")
	w.eventually(func() bool { return w.has("/local/domain/5" + frontPath + "/state") },
		"a console for a guest that came meanwhile")
	close(stop)
	<-stopped
	require.Equal(t, 1, w.log.count("carrier=vchan"))
	require.Equal(t, 1, w.log.count("carrier=console"))
	require.Equal(t, 1, w.log.count("carrier=vchan guest=\"domain "+uuid(1)))
	for _, d := range w.d.Domains() {
		for _, c := range d.Carriers {
			require.Equal(t, d.DomID == 3, c.Failures > 0, "%+v %+v", d, c)
		}
	}
}

// Half an offer, either half, is none: it is neither tried nor blamed, and
// becomes an offer with the other half.
func TestHalfAnOffer(t *testing.T) {
	for _, half := range []string{"ring-ref", "event-channel"} {
		t.Run(half, func(t *testing.T) {
			w := newFixture(t)
			w.listen(vchanOnly)
			g := w.add(3, "g", uuid(1))
			path := "/local/domain/3/data/vchan/0/entropy"
			conn := g.offer()
			a := w.next()
			// To the channel that is there the loss of a node means nothing.
			require.NoError(t, g.store.Rm(w.ctx, path+"/"+half))
			echo(t, a.ch, conn, "still there")
			require.NoError(t, a.ch.Close())
			require.NoError(t, conn.Close())

			other := "event-channel"
			if half == other {
				other = "ring-ref"
			}
			for i := range 100 { // what is there changes all the time
				require.NoError(t, g.store.Write(w.ctx, path+"/"+other, strconv.Itoa(1000+i)))
			}
			conn = g.offer() // and is whole now
			a = w.next()
			echo(t, a.ch, conn, "whole")
			c := w.d.Domains()[0].Carriers[0]
			require.EqualValues(t, 2, c.Connects, "%+v", c)
			require.Zero(t, c.Failures, "%+v", c)
			require.NoError(t, a.ch.Close())
		})
	}
}

// A guest whose ring breaks the rules is blamed, by an error that the host's
// sessions know.
func TestHostileRing(t *testing.T) {
	w := newFixture(t)
	w.listen(vchanOnly)
	g := w.add(3, "bad", uuid(1))
	alloc, err := xendev.OpenGntalloc(g.sys)
	require.NoError(t, err)
	page, refs, err := alloc.Alloc(0, 1)
	require.NoError(t, err)
	ev, err := xendev.OpenEvtchn(g.sys)
	require.NoError(t, err)
	port, err := ev.BindUnbound(0)
	require.NoError(t, err)
	b := page.Bytes()
	copy(b[16:], []byte{11, 0, 10, 0, 2, 1, 1, 0})
	path := "/local/domain/3/data/vchan/0/entropy"
	require.NoError(t, g.store.Transaction(w.ctx, func(tx *xenstore.Tx) error {
		if err := tx.Write(w.ctx, path+"/ring-ref", strconv.Itoa(int(refs[0]))); err != nil {
			return err
		}
		return tx.Write(w.ctx, path+"/event-channel", strconv.Itoa(int(port)))
	}))
	a := w.next()
	binary.LittleEndian.PutUint32(b[12:], 1<<20)
	_ = ev.Notify(port)
	_, err = a.ch.Read(make([]byte, 1))
	require.True(t, transport.Hostile(err), "%v", err)
	require.NoError(t, ev.Close())
	require.NoError(t, page.Unmap())
	require.NoError(t, alloc.Close())
}

// Many domains at once all get their channel, whatever some of them do.
func TestManyAtOnce(t *testing.T) {
	n := 200
	if testing.Short() {
		n = 20
	}
	w := newFixture(t)
	w.listen(all("instance"))
	guests := make([]*fakeGuest, n)
	for i := range guests {
		guests[i] = w.add(uint16(100+i), fmt.Sprintf("g%d", i), uuid(i))
	}
	for i, g := range guests {
		if i%10 == 9 { // and some offer nothing but junk
			require.NoError(t, g.store.Write(w.ctx,
				fmt.Sprintf("/local/domain/%d/data/vchan/0/entropy/ring-ref", g.id), "8"))
			continue
		}
		g.offer()
	}
	seen := make(map[string]bool)
	for len(seen) < n-n/10 {
		seen[w.next().peer.ID] = true
	}
	w.eventually(func() bool { return w.below("/local/domain/0/backend/entropy") >= n*7 }, "all consoles plugged")
	w.stop()
	require.Zero(t, w.below("/local/domain/0/backend/entropy"))
	require.Zero(t, w.xen.Domain(0).Counts().Mappings)
	for _, g := range guests {
		require.False(t, w.has(fmt.Sprintf("/local/domain/%d/data/entropy", g.id)))
	}
}

// xenstored that goes and comes back changes nothing; one that is gone for good
// ends Accept with the reason.
func TestLostXenstored(t *testing.T) {
	w := newFixture(t)
	w.listen(all("instance"))
	w.add(3, "g", uuid(1))
	w.eventually(func() bool { return w.has("/local/domain/3/data/entropy/instance") }, "announced")
	w.store.DropAll()
	_, _, err := w.d.Accept()
	require.ErrorIs(t, err, xenstore.ErrDisconnected)
	require.Equal(t, xendevtest.Counts{}, w.xen.Domain(0).Counts())
}
