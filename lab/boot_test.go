//go:build lab && linux

package lab

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/lab/internal/xen"
)

// TestBoot: dom0 is up, with the devices and daemons that all else needs.
func TestBoot(t *testing.T) {
	short(t, func(t *testing.T, d *xen.Dom0) {
		require.Contains(t, run(t, d, "xl", "list"), "Domain-0")
		shell(t, d, "for d in evtchn gntdev gntalloc xenbus privcmd; do ls -l /dev/xen/$d; done")
		run(t, d, "pidof", d.Machine.Name)
		run(t, d, "pidof", "xenconsoled")
		require.Equal(t, "0", strings.TrimSpace(run(t, d, "xenstore-read", "domid")))
	})
}

// TestPV: a PV guest boots and runs commands. Every part of the way must bear
// its name.
func TestPV(t *testing.T) {
	short(t, func(t *testing.T, d *xen.Dom0) {
		bootGuest(t, d, xen.GuestConfig{Name: "lab gäst", Type: xen.PV})
	})
}

func bootGuest(t *testing.T, d *xen.Dom0, c xen.GuestConfig) {
	g := start(t, d, c)
	list := run(t, d, "xl", "list")
	require.Contains(t, list, c.Name)
	t.Logf("%s", list)
	shell(t, g, "for d in evtchn gntdev gntalloc xenbus; do ls -l /dev/xen/$d; done")
	require.Equal(t, c.Type, strings.ToLower(strings.TrimSpace(run(t, g, "cat", "/sys/hypervisor/guest_type"))))
	destroy(t, d, c.Name)
	require.NotContains(t, run(t, d, "xl", "list"), c.Name)
}
