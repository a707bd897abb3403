package xen

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/internal/xendev/xendevtest"
	"github.com/xentropyd/xentropyd/vchan"
	"github.com/xentropyd/xentropyd/vchan/ring"
)

// port makes a Port, which is closed with its process.
func (w *fixture) port(p *xendevtest.Process) *Port {
	w.t.Helper()
	port, err := OpenPort(hostID, p)
	require.NoError(w.t, err)
	w.t.Cleanup(p.End)
	return port
}

func (w *fixture) offerOn(port *Port, o ring.Orders) *vchan.Conn {
	w.t.Helper()
	c, err := Offer(w.ctx, w.guestStore, hostID, w.path, OfferOptions{Orders: o, Port: port})
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = c.Close() })
	require.NoError(w.t, c.SetDeadline(time.Now().Add(patience)))
	return c
}

// One port serves one offer after the other, with a page of its own each time,
// until a peer has come.
func TestPortServesAgain(t *testing.T) {
	for _, closer := range []string{"server", "client"} {
		t.Run(closer, func(t *testing.T) {
			w := newFixture(t)
			guest := w.guest.Process()
			port := w.port(guest)
			var last Published
			for range 8 {
				server := w.offerOn(port, ring.Orders{Left: 12, Right: 13})
				require.False(t, port.Usable())
				_, err := Offer(w.ctx, w.guestStore, hostID, w.path, OfferOptions{Port: port})
				require.ErrorIs(t, err, errBusyPort)
				now, found, err := Lookup(w.ctx, w.hostStore, w.path)
				require.NoError(t, err)
				require.True(t, found)
				require.Equal(t, port.number, now.Port)
				require.NotEqual(t, last, now)
				last = now
				require.NoError(t, server.Close())
				require.True(t, port.Usable())
				require.NoError(t, port.Check())
				require.Equal(t, xendevtest.Counts{Grants: 1, Ports: 1}, w.guest.Counts(),
					"the page for the last event, and the port")
			}
			server := w.offerOn(port, DefaultOrders)
			client := w.connect(w.host.Process())
			require.NoError(t, server.Wait(w.ctx))
			exchange(t, server, client, 64<<10, 3000)
			first, second := server, client
			if closer == "client" {
				first, second = client, server
			}
			require.NoError(t, first.Close())
			_, err := second.Read(make([]byte, 1))
			require.ErrorIs(t, err, io.EOF)
			require.NoError(t, second.Close())
			require.False(t, port.Usable())
			_, err = Offer(w.ctx, w.guestStore, hostID, w.path, OfferOptions{Port: port})
			require.ErrorIs(t, err, errUsedPort)
			require.Equal(t, xendevtest.Counts{Grants: 1, Ports: 1}, w.guest.Counts())
			require.Empty(t, w.guest.Bugs())
			guest.End()
			w.empty()
		})
	}
}

// A peer that came and went without anybody's having looked has used the port
// as well.
func TestPortUnheard(t *testing.T) {
	w := newFixture(t)
	port := w.port(w.guest.Process())
	server := w.offerOn(port, DefaultOrders)
	require.NoError(t, w.connect(w.host.Process()).Close())
	require.NoError(t, server.Close())
	require.False(t, port.Usable())
}

// A channel that is closed while its end waits for an event makes that return,
// whatever comes meanwhile.
func TestPortLeftWhileWaiting(t *testing.T) {
	w := newFixture(t)
	for range 20 {
		server := w.offerOn(w.port(w.guest.Process()), DefaultOrders)
		client := w.connect(w.host.Process())
		require.NoError(t, server.Wait(w.ctx))
		read := make(chan error, 1)
		go func() {
			_, err := server.Read(make([]byte, 1))
			read <- err
		}()
		w.guest.Flood()
		w.host.Flood()
		require.NoError(t, server.Close())
		require.ErrorIs(t, <-read, net.ErrClosed)
		require.NoError(t, client.Close())
	}
}

// The peer hears of a process that is killed, and by then the page says that it
// is gone.
func TestPortKilled(t *testing.T) {
	w := newFixture(t)
	guest := w.guest.Process()
	port := w.port(guest)
	w.offerOn(port, DefaultOrders)
	client := w.connect(w.host.Process())
	read := make(chan error, 1)
	go func() {
		_, err := client.Read(make([]byte, 1))
		read <- err
	}()
	guest.Kill()
	require.ErrorIs(t, <-read, io.EOF)
	require.NoError(t, client.Close())
	w.empty()
}

// After a restore the kernel says that it does not know the port. All that may
// be done with it, and with the page of its last channel, does no harm.
func TestPortRestored(t *testing.T) {
	w := newFixture(t)
	port, met := w.port(w.guest.Process()), w.port(w.guest.Process())
	server := w.offerOn(met, DefaultOrders)
	client := w.connect(w.host.Process())
	require.NoError(t, server.Wait(w.ctx))
	w.guest.Restore(9)
	require.Error(t, port.Check())
	require.Error(t, met.Check())
	_, err := server.Write([]byte("nobody reads this"))
	require.NoError(t, err)
	require.NoError(t, server.Close())
	require.NoError(t, w.offerOn(port, DefaultOrders).Close(), "by mistake")
	require.NoError(t, client.Close())
	require.Empty(t, w.guest.Bugs())

	// Another port gets the number: the kernel cannot tell them apart, and
	// still nothing is taken from it.
	other := w.port(w.guest.Process())
	require.Equal(t, port.number, other.number)
	require.NoError(t, port.Check())
	require.NoError(t, w.offerOn(port, DefaultOrders).Close())
	require.NoError(t, other.Check())
	require.Empty(t, w.guest.Bugs())
}

// Each call of making a port fails alone; what was bound then stays.
func TestPortFailures(t *testing.T) {
	for n := 1; ; n++ {
		w := newFixture(t)
		p := w.guest.Process()
		t.Cleanup(p.End)
		calls := 0
		p.Fault = func(call string) error {
			if calls++; calls == n && call != "close" {
				return io.ErrNoProgress
			}
			return nil
		}
		_, err := OpenPort(hostID, p)
		if calls < n {
			require.NoError(t, err)
			require.Greater(t, n, 4)
			return
		}
		require.Error(t, err)
		p.Fault = nil
		require.LessOrEqual(t, w.guest.Counts().Ports, 1)
		p.End()
		w.empty()
	}
}

// A Wait that comes late, of a channel that is closed by then, does not wait
// for the next one.
func TestPortLateWait(t *testing.T) {
	w := newFixture(t)
	port := w.port(w.guest.Process())
	old, err := port.take(w.ctx)
	require.NoError(t, err)
	require.NoError(t, old.Close())
	now, err := port.take(w.ctx)
	require.NoError(t, err)
	port.waiting <- struct{}{} // as while the next one waits
	require.ErrorIs(t, old.Wait(), net.ErrClosed)
	require.ErrorIs(t, old.Notify(), net.ErrClosed)
	require.ErrorIs(t, old.SetWaitDeadline(time.Time{}), net.ErrClosed)
	<-port.waiting
	require.NoError(t, now.Close())
}

func TestPortOfAnother(t *testing.T) {
	w := newFixture(t)
	port := w.port(w.guest.Process())
	_, err := Offer(w.ctx, w.guestStore, 3, w.path, OfferOptions{Port: port})
	require.ErrorContains(t, err, "the port is for domain 0")
	ended, cancel := context.WithCancel(w.ctx)
	cancel()
	_, err = Offer(ended, w.guestStore, hostID, w.path, OfferOptions{Port: port})
	require.ErrorIs(t, err, context.Canceled)
	require.True(t, port.Usable())
}
