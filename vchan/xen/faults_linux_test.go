package xen

import (
	"context"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/internal/xendev"
	"github.com/xentropyd/xentropyd/vchan"
	"github.com/xentropyd/xentropyd/vchan/ring"
	"github.com/xentropyd/xentropyd/xenstore/xenstoretest"
)

// Every system call of both sides fails once, and nothing stays behind.
func TestEachCallFails(t *testing.T) {
	o := ring.Orders{Left: 13, Right: 10}
	for _, who := range []string{"server", "client"} {
		for k := 0; ; k++ {
			w := newFixture(t)
			guest, host := w.guest.Process(), w.host.Process()
			fault := &nthCall{n: k}
			if who == "server" {
				guest.Fault = fault.fail
			} else {
				host.Fault = fault.fail
			}
			server, err := Offer(w.ctx, w.guestStore, hostID, w.path, OfferOptions{Orders: o, System: guest})
			if err == nil {

				var client *vchan.Conn
				client, err = Connect(w.ctx, w.hostStore, guestID, w.path, ConnectOptions{System: host})
				if err == nil {
					_ = client.Close()
				}
				_ = server.Close()
			}
			w.empty()
			require.NotContains(t, w.store.Dump(), w.path, fault.call)
			if fault.call == "" { // past the last call
				require.NoError(t, err)
				require.Greater(t, k, 5)
				break
			}
			if strings.HasPrefix(fault.call, "ioctl 0x44504") || strings.HasPrefix(fault.call, "close") ||
				strings.HasPrefix(fault.call, "ioctl 0x44503") {
				continue // where it does not matter, or only to the end
			}
			require.ErrorIs(t, err, syscall.EIO, "%s %d %s", who, k, fault.call)
		}
	}
}

// nthCall fails one call of the start; unmapping does not fail.
type nthCall struct {
	mu   sync.Mutex
	n    int
	call string
}

func (f *nthCall) fail(call string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if call == "munmap" {
		return nil
	}
	if f.n--; f.n != -1 {
		return nil
	}
	f.call = call
	return syscall.EIO
}

// Requests to xenstored fail, one after another.
func TestEachRequestFails(t *testing.T) {
	for k := 0; ; k++ {
		w := newFixture(t)
		n, hit := 0, ""
		w.store.SetFault(func(r xenstoretest.Request) (f xenstoretest.Fault) {
			if r.DomID == guestID && hit == "" {
				if n == k {
					hit = r.Op
					f.Error = "EIO"
				}
				n++
			}
			return f
		})
		c, err := Offer(w.ctx, w.guestStore, hostID, w.path, OfferOptions{System: w.guest.Process()})
		w.store.SetFault(nil)
		if hit == "" {
			require.NoError(t, err)
			require.NoError(t, c.Close())
			break
		}
		require.Error(t, err, hit)
		w.empty()
		require.NotContains(t, w.store.Dump(), w.path, hit)
	}
}

func TestLimitIsNamed(t *testing.T) {
	w := newFixture(t)
	w.guest.SetLimit(16)
	_, err := Offer(w.ctx, w.guestStore, hostID, w.path,
		OfferOptions{Orders: ring.Orders{Left: 16, Right: 10}, System: w.guest.Process()})
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.ErrorContains(t, err, "limit")
	require.ErrorContains(t, err, "xen_gntalloc")
	w.empty()
	w.guest.SetLimit(17)
	c, err := Offer(w.ctx, w.guestStore, hostID, w.path,
		OfferOptions{Orders: ring.Orders{Left: 16, Right: 10}, System: w.guest.Process()})
	require.NoError(t, err)
	require.NoError(t, c.Close())
}

func TestMissingDevices(t *testing.T) {
	for _, dev := range []string{xendev.EvtchnPath, xendev.GntallocPath, xendev.GntdevPath} {
		w := newFixture(t)
		guest, host := w.guest.Process(), w.host.Process()
		guest.Missing, host.Missing = []string{dev}, []string{dev}
		c, err := Offer(w.ctx, w.guestStore, hostID, w.path, OfferOptions{System: guest})
		if dev == xendev.GntdevPath {
			require.NoError(t, err)
			require.NoError(t, c.Close())
		} else {
			require.ErrorIs(t, err, os.ErrNotExist)
			require.ErrorContains(t, err, "modprobe xen-"+strings.TrimPrefix(dev, "/dev/xen/"))
		}
		w.offer(w.guest.Process(), DefaultOrders)
		c, err = Connect(w.ctx, w.hostStore, guestID, w.path, ConnectOptions{System: host})
		if dev == xendev.GntallocPath {
			require.NoError(t, err)
			require.NoError(t, c.Close())
		} else {
			require.ErrorIs(t, err, os.ErrNotExist)
			require.NotErrorIs(t, err, ErrStale)
		}
	}
}

func TestContext(t *testing.T) {
	w := newFixture(t)
	ctx, cancel := context.WithCancel(w.ctx)
	done := make(chan error, 1)
	go func() {
		_, err := Connect(ctx, w.hostStore, guestID, w.path, ConnectOptions{System: w.host.Process()})
		done <- err
	}()
	w.eventually(func() bool { return w.store.Watches(hostID) == 1 }, "no watch", func() []any { return nil })
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	w.eventually(func() bool { return w.store.Watches(hostID) == 0 }, "a watch stays", func() []any { return nil })
	_, err := Offer(ctx, w.guestStore, hostID, w.path, OfferOptions{System: w.guest.Process()})
	require.ErrorIs(t, err, context.Canceled)
	w.empty()
}

// Close ends even when xenstored does not answer, and gives the rest back.
func TestCloseWithoutXenstored(t *testing.T) {
	w := newFixture(t)
	c := w.offer(w.guest.Process(), DefaultOrders)
	w.store.SetFault(func(xenstoretest.Request) xenstoretest.Fault { return xenstoretest.Fault{Mute: true} })
	require.NoError(t, c.Close())
	w.empty()
	require.ErrorIs(t, c.Close(), net.ErrClosed)
}
