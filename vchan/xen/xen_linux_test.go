package xen

import (
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/internal/xendev"
	"github.com/xentropyd/xentropyd/internal/xendev/xendevtest"
	"github.com/xentropyd/xentropyd/vchan"
	"github.com/xentropyd/xentropyd/vchan/ring"
	"github.com/xentropyd/xentropyd/xenstore"
)

func allOrders() (list []ring.Orders) {
	for o := uint16(10); o <= 20; o++ {
		list = append(list, ring.Orders{Left: o, Right: 22 - min(o, 12)}) // 12, 11, then 10 beside each
	}
	return append(list, ring.Orders{Left: 10, Right: 20}, ring.Orders{Left: 10, Right: 11},
		ring.Orders{Left: 11, Right: 10}, ring.Orders{Left: 20, Right: 20})
}

func TestExchange(t *testing.T) {
	for _, o := range allOrders() {
		if o.Check() != nil {
			continue
		}
		t.Run(fmt.Sprint(o), func(t *testing.T) {
			w := newFixture(t)
			server, client, _, _ := w.pair(o)
			require.Equal(t, 1+o.Grants(), w.guest.Counts().Grants)
			require.Equal(t, 1+o.Grants(), w.host.Counts().Mappings)
			exchange(t, server, client, 256<<10, 1<<min(o.Right, 14)+7)
			require.NoError(t, server.Close())
			require.NoError(t, client.Close())
			w.empty()
		})
	}
}

func TestAddresses(t *testing.T) {
	w := newFixture(t)
	server, client, _, _ := w.pair(DefaultOrders)
	require.Equal(t, "xen", server.LocalAddr().Network())
	require.Equal(t, w.path+" server (domain 7)", server.LocalAddr().String())
	require.Equal(t, w.path+" client (domain 0)", server.RemoteAddr().String())
	require.Equal(t, w.path+" client", client.LocalAddr().String())
	require.Equal(t, w.path+" server (domain 7)", client.RemoteAddr().String())
}

// The other role: dom0 offers, the guest connects.
func TestHostOffers(t *testing.T) {
	w := newFixture(t)
	path, err := Path(hostID, guestID, "x")
	require.NoError(t, err)
	type result struct {
		c   *vchan.Conn
		err error
	}
	done := make(chan result, 1)
	go func() { // waits from before there is anything it may see
		c, err := Connect(w.ctx, w.guestStore, hostID, path, ConnectOptions{System: w.guest.Process()})
		done <- result{c, err}
	}()
	w.eventually(func() bool { return w.store.Watches(guestID) == 1 }, "no watch", func() []any { return nil })
	server, err := Offer(w.ctx, w.hostStore, guestID, path, OfferOptions{System: w.host.Process()})
	require.NoError(t, err)
	r := <-done
	require.NoError(t, r.err)
	exchange(t, server, r.c, 100<<10, 3000)
	require.NoError(t, r.c.Close())
	require.NoError(t, server.Close())
	w.empty()
}

// The nodes are there, readable by the peer alone, and gone after Close.
func TestNodes(t *testing.T) {
	for _, fresh := range []bool{false, true} {
		w := newFixture(t)
		clients := make(map[uint16]*xenstore.Client)
		for _, id := range []uint16{hostID, 8, 9} {
			if id != hostID {
				w.store.AddDomain(id, "other")
			}
			c, err := xenstore.Dial(w.ctx, w.store.Dialer(id))
			require.NoError(t, err)
			defer func() { _ = c.Close() }()
			clients[id] = c
		}
		for _, peer := range []uint16{hostID, 8} {
			path, err := Path(guestID, peer, "nodes")
			require.NoError(t, err)
			c, err := Offer(w.ctx, w.guestStore, peer, path,
				OfferOptions{System: w.guest.Process(), Own: guestID, Fresh: fresh})
			require.NoError(t, err)
			for _, name := range []string{nodeRing, nodePort} {
				p := xenstore.Join(path, name)
				for id, client := range clients {
					_, err = client.Read(w.ctx, p)
					if id == peer || id == hostID {
						require.NoError(t, err, "domain %d, peer %d", id, peer)
					} else {
						require.ErrorIs(t, err, xenstore.ErrPermission, "domain %d, peer %d", id, peer)
					}
				}
			}
			_, err = clients[peer].Directory(w.ctx, path)
			require.NoError(t, err)
			require.NoError(t, c.Close())
			require.NotContains(t, w.store.Dump(), path)
		}
	}
}

// What the nodes hold are grant references and ports, and only they are
// removed.
func TestNodeValues(t *testing.T) {
	w := newFixture(t)
	c := w.offer(w.guest.Process(), DefaultOrders)
	require.Equal(t, "8", w.store.Dump()[w.path+"/ring-ref"])
	require.Equal(t, "1", w.store.Dump()[w.path+"/event-channel"])
	require.NoError(t, c.Close())
	require.NotContains(t, w.store.Dump(), w.path)
	require.Contains(t, w.store.Dump(), xenstore.DomainPath(guestID)+"/data")
}

// A later offer under the same path is not removed by the end of an earlier
// one.
func TestLaterOfferStays(t *testing.T) {
	w := newFixture(t)
	p := w.guest.Process()
	first := w.offer(p, DefaultOrders)
	second := w.offer(p, DefaultOrders)
	require.NoError(t, first.Close())
	require.Contains(t, w.store.Dump(), w.path+"/ring-ref")
	client := w.connect(w.host.Process())
	require.NoError(t, second.Wait(w.ctx))
	require.NoError(t, client.Close())
	require.NoError(t, second.Close())
	require.NotContains(t, w.store.Dump(), w.path)
}

// An offer that is to be kept, as after a restore, stays where it is.
func TestKeptOffer(t *testing.T) {
	w := newFixture(t)
	for _, keep := range []bool{false, true} {
		c, err := Offer(w.ctx, w.guestStore, hostID, w.path,
			OfferOptions{System: w.guest.Process(), Keep: func() bool { return keep }})
		require.NoError(t, err)
		require.NoError(t, c.Close())
		_, err = w.hostStore.Read(w.ctx, w.path+"/"+nodeRing)
		require.Equal(t, keep, err == nil, "%v", err)
	}
}

func TestClose(t *testing.T) {
	for _, first := range []string{"server", "client"} {
		t.Run(first, func(t *testing.T) {
			w := newFixture(t)
			a, b, _, _ := w.pair(DefaultOrders)
			if first == "client" {
				a, b = b, a
			}
			_, err := a.Write([]byte("the last words"))
			require.NoError(t, err)
			require.NoError(t, a.Close())
			got, err := io.ReadAll(b)
			require.NoError(t, err)
			require.Equal(t, "the last words", string(got))
			_, err = b.Write([]byte("x"))
			require.ErrorIs(t, err, vchan.ErrPeerGone)
			require.NoError(t, b.Close())
			w.empty()
		})
	}
}

// A blocked reader is woken, and only then is the memory unmapped: the fake's
// is really gone then.
func TestCloseUnderRead(t *testing.T) {
	w := newFixture(t)
	server, client, _, _ := w.pair(ring.Orders{Left: 12, Right: 12})
	for _, c := range []*vchan.Conn{server, client} {
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				_, err := c.Read(make([]byte, 10))
				if err == nil {
					t.Error("read something")
				}
			})
		}
		time.Sleep(5 * time.Millisecond) // asleep, mostly
		require.NoError(t, c.Close())
		wg.Wait()
	}
	w.empty()
}

func TestDeadline(t *testing.T) {
	w := newFixture(t)
	_, client, _, _ := w.pair(DefaultOrders)
	require.NoError(t, client.SetReadDeadline(time.Now().Add(5*time.Millisecond)))
	_, err := client.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
}

// Each process is killed in each state; the other side sees it and gives
// everything back.
func TestKilled(t *testing.T) {
	states := []string{"idle", "blocked reading", "blocked writing", "unread data"}
	for _, who := range []string{"server", "client"} {
		for _, state := range states {
			t.Run(who+" "+state, func(t *testing.T) {
				w := newFixture(t)
				server, client, guest, host := w.pair(DefaultOrders)
				victim, survivor, process := server, client, guest
				if who == "client" {
					victim, survivor, process = client, server, host
				}
				result := make(chan error, 1)
				switch state {
				case "blocked reading":
					go func() { _, err := survivor.Read(make([]byte, 1)); result <- err }()
				case "blocked writing":
					go func() { _, err := survivor.Write(make([]byte, 1<<16)); result <- err }()
				case "unread data":
					_, err := victim.Write([]byte("rest"))
					require.NoError(t, err)
					process.Kill()
					got, err := io.ReadAll(survivor)
					require.NoError(t, err)
					require.Equal(t, "rest", string(got))
					result <- vchan.ErrPeerGone
				default:
					go func() { result <- survivor.Wait(w.ctx) }()
				}
				time.Sleep(2 * time.Millisecond)
				process.Kill()
				switch err := <-result; state {
				case "blocked reading":
					require.ErrorIs(t, err, io.EOF)
				case "idle":
					if err != nil { // the wait may have been before the kill
						require.ErrorIs(t, err, vchan.ErrPeerGone)
					}
				default:
					require.ErrorIs(t, err, vchan.ErrPeerGone)
				}
				require.ErrorIs(t, survivor.Wait(w.ctx), vchan.ErrPeerGone)
				require.NoError(t, survivor.Close())
				w.empty()
				_ = victim.Close() // the test's own memory
			})
		}
	}
}

// A server that is killed before anybody came leaves stale nodes; the next one
// replaces them.
func TestKilledBeforeConnect(t *testing.T) {
	w := newFixture(t)
	p := w.guest.Process()
	w.offer(p, DefaultOrders)
	p.Kill()
	_, err := Connect(w.ctx, w.hostStore, guestID, w.path, ConnectOptions{System: w.host.Process()})
	require.ErrorIs(t, err, ErrStale)
	w.empty()
	again := w.offer(w.guest.Process(), DefaultOrders)
	client := w.connect(w.host.Process())
	require.NoError(t, again.Wait(w.ctx))
	exchange(t, again, client, 1<<14, 999)
}

// A destroyed domain tells nobody. Close, as @releaseDomain asks for, frees it.
func TestDestroyedDomain(t *testing.T) {
	for _, o := range []ring.Orders{DefaultOrders, {Left: 16, Right: 12}} {
		w := newFixture(t)
		server, client, _, _ := w.pair(o)
		blocked := make(chan error, 1)
		go func() { _, err := client.Read(make([]byte, 1)); blocked <- err }()
		time.Sleep(2 * time.Millisecond)
		w.guest.Destroy()
		require.True(t, w.guest.Zombie())
		select {
		case err := <-blocked:
			t.Fatal("nobody can have told", err)
		case <-time.After(5 * time.Millisecond):
		}
		client.HangUp()
		require.ErrorIs(t, <-blocked, io.EOF)
		require.NoError(t, client.Close())
		require.False(t, w.guest.Zombie())
		require.Equal(t, xendevtest.Counts{}, w.host.Counts())
		_ = server.Close()
	}
}

// A destroyed client domain: the server's pages are free again.
func TestDestroyedClient(t *testing.T) {
	w := newFixture(t)
	path, err := Path(hostID, guestID, "x")
	require.NoError(t, err)
	server, err := Offer(w.ctx, w.hostStore, guestID, path, OfferOptions{System: w.host.Process()})
	require.NoError(t, err)
	client, err := Connect(w.ctx, w.guestStore, hostID, path, ConnectOptions{System: w.guest.Process()})
	require.NoError(t, err)
	require.NoError(t, server.Wait(w.ctx))
	w.guest.Destroy()
	_, err = server.Write([]byte("into the ring")) // lost events are no error
	require.NoError(t, err)
	server.Abort(vchan.ErrPeerGone)
	require.Equal(t, xendevtest.Counts{}, w.host.Counts())
	_ = client.Close()
}

// A peer that floods ends its own channel, with a bounded number of wake-ups.
func TestFlood(t *testing.T) {
	w := newFixture(t)
	_, client, _, _ := w.pair(DefaultOrders)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				w.guest.Flood()
				runtime.Gosched() // with one processor the reader gets a turn
			}
		}
	})
	_, err := client.Read(make([]byte, 1))
	close(stop)
	wg.Wait()
	require.ErrorIs(t, err, vchan.ErrViolation)
	require.Equal(t, xendevtest.Counts{}, w.host.Counts())
}

// An event that comes after a Wait is not lost, though its sender closes at
// once: a reader that looked in between would sleep for ever.
func TestEventBeforeClose(t *testing.T) {
	w := newFixture(t)
	h := w.hostile(1)
	e, err := newEvents(w.host.Process(), func(d *xendev.Evtchn) (uint32,
		error,
	) {
		return d.BindInterdomain(guestID, h.port)
	})
	require.NoError(t, err)
	require.NoError(t, e.SetWaitDeadline(time.Now().Add(patience)))
	require.NoError(t, e.Wait()) // comes with the binding
	require.NoError(t, e.Unmask())
	for range 3 {
		w.guest.Flood()
	}
	require.NoError(t, h.ev.Unbind(h.port))
	require.NoError(t, e.Wait())
	require.NoError(t, e.SetWaitDeadline(time.Now().Add(5*time.Millisecond)))
	require.ErrorIs(t, e.Wait(), os.ErrDeadlineExceeded) // the three were one
	require.NoError(t, e.Close())
	require.ErrorIs(t, e.Wait(), net.ErrClosed)
	require.ErrorIs(t, e.Notify(), net.ErrClosed)
	require.ErrorIs(t, e.SetWaitDeadline(time.Time{}), net.ErrClosed)
}

func TestManyTimes(t *testing.T) {
	w := newFixture(t)
	n := 100
	if os.Getenv("XENTROPYD_SOAK") != "" {
		n = 2000
	}
	guest, host := w.guest.Process(), w.host.Process()
	for i := range n {
		o := ring.Orders{Left: uint16(10 + i%4), Right: uint16(11 + i%3)}
		if o.Check() != nil {
			o = DefaultOrders
		}
		server := w.offer(guest, o)
		client := w.connect(host)
		require.NoError(t, server.Wait(w.ctx))
		_, err := client.Write([]byte("hello"))
		require.NoError(t, err)
		_, err = io.ReadFull(server, make([]byte, 5))
		require.NoError(t, err)
		if i%2 == 0 {
			server, client = client, server
		}
		require.NoError(t, server.Close())
		require.NoError(t, client.Close())
	}
	w.empty()
	require.NotContains(t, w.store.Dump(), w.path)
}
