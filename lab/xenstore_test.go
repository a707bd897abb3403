//go:build lab && linux

package lab

import (
	"testing"

	"github.com/xentropyd/xentropyd/lab/internal/xen"
)

// TestXenstoreSocket: the xenstore conformance tests in dom0, over the daemon's
// socket.
func TestXenstoreSocket(t *testing.T) {
	long(t, func(t *testing.T, d *xen.Dom0) { conform(t, d.Place, "/run/xenstored/socket") })
}

// TestXenstoreDom0Device: the same over the kernel's device.
func TestXenstoreDom0Device(t *testing.T) {
	long(t, func(t *testing.T, d *xen.Dom0) { conform(t, d.Place, "device") })
}

// TestXenstoreGuestDevice: the same in a guest.
func TestXenstoreGuestDevice(t *testing.T) {
	long(t, func(t *testing.T, d *xen.Dom0) {
		conform(t, start(t, d, xen.GuestConfig{Name: "xenstore"}), "device")
	})
}

// conform runs the conformance tests against the machine's own daemon.
func conform(t *testing.T, p xen.Place, where string) {
	goTest(t, p, xen.ConformanceTests, "^TestReal$", "XENSTORE_CONFORMANCE="+where)
}
