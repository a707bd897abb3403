package conformance_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/xentropyd/xentropyd/xenstore"
	"github.com/xentropyd/xentropyd/xenstore/xenstoretest"
	"github.com/xentropyd/xentropyd/xenstore/xenstoretest/conformance"
)

func TestServer(t *testing.T) {
	s := xenstoretest.NewServer()
	defer s.Close()
	s.AddDomain(7, "guest")
	s.AddDomain(8, "neighbour")
	conformance.Run(t, conformance.Target{
		Dial: s.Dialer(0), Socket: true, Domain: s.Dialer,
		Introduce: s.IntroduceDomain, Release: s.ReleaseDomain,
	})
}

// TestServerAsGuest runs what a guest can run of it.
func TestServerAsGuest(t *testing.T) {
	s := xenstoretest.NewServer()
	defer s.Close()
	s.AddDomain(7, "guest")
	conformance.Run(t, conformance.Target{Dial: s.Dialer(7), Socket: true})
}

// TestServerWithoutParts is oxenstored's way with long lists.
func TestServerWithoutParts(t *testing.T) {
	s := xenstoretest.NewServer(xenstoretest.WithoutParts())
	defer s.Close()
	conformance.Run(t, conformance.Target{Dial: s.Dialer(0), Socket: true})
}

// TestServerDevice is all that over a connection like the kernel's device.
func TestServerDevice(t *testing.T) {
	s := xenstoretest.NewServer()
	defer s.Close()
	s.AddDomain(7, "guest")
	s.AddDomain(8, "neighbour")
	conformance.Run(t, conformance.Target{
		Dial: s.DeviceDialer(0), Domain: s.DeviceDialer,
		Introduce: s.IntroduceDomain, Release: s.ReleaseDomain,
	})
}

// TestServerDeviceWithoutParts is oxenstored's device, which cannot give long
// lists at all.
func TestServerDeviceWithoutParts(t *testing.T) {
	s := xenstoretest.NewServer(xenstoretest.WithoutParts())
	defer s.Close()
	conformance.Run(t, conformance.Target{Dial: s.DeviceDialer(0)})
}

// TestReal runs it against the daemon that XENSTORE_CONFORMANCE names. Where
// something carries a socket to the xenstore rings of domains 7 and 8,
// XENSTORE_CONFORMANCE_GUESTS is its path with %d for the domain.
func TestReal(t *testing.T) {
	where := os.Getenv("XENSTORE_CONFORMANCE")
	if where == "" {
		t.Skip("no real xenstored: set XENSTORE_CONFORMANCE to the path of its socket, or to device in a Xen domain")
	}
	target := conformance.Target{Socket: true}
	if where == "device" {
		where, target.Socket = xenstore.DevicePath, false
	}
	target.Dial = func(ctx context.Context) (io.ReadWriteCloser, error) {
		return xenstore.DialAddress(ctx, where)
	}
	if guests := os.Getenv("XENSTORE_CONFORMANCE_GUESTS"); guests != "" {
		target.Domain = func(domid uint16) xenstore.DialFunc {
			return func(ctx context.Context) (io.ReadWriteCloser, error) {
				return xenstore.DialAddress(ctx, fmt.Sprintf(guests, domid))
			}
		}
	}
	conformance.Run(t, target)
}
