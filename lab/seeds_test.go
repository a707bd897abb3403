//go:build lab && linux

package lab

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/host"
	"github.com/xentropyd/xentropyd/host/control"
	"github.com/xentropyd/xentropyd/lab/internal/xen"
)

// uuid is the line of a guest that keeps its own over a restart.
func uuid(n int) string { return fmt.Sprintf("uuid = \"00000000-0000-4000-8000-%012d\"", n) }

const onReboot = `on_reboot = "restart"`

// TestSeeds: xentropyd in dom0 seeds three PV guests, one after another, over
// vchan by protocol 2; and the first one when it comes again.
func TestSeeds(t *testing.T) {
	short(t, func(t *testing.T, d *xen.Dom0) {
		s := service(t, d, "console = false\n")
		var first follower
		for i, name := range []string{"first", "lab gäst", "third"} {
			f := follow(t, d, xen.GuestConfig{Name: name, Lines: []string{uuid(i), onReboot}})
			s.agrees(t, f, 1)
			if i == 0 {
				first = f
			}
		}
		first.reboots(t)
		s.agrees(t, first, 2)
		require.Equal(t, 3, s.status(t).Server.Sessions)
	})
}

// TestPVH: a PVH guest boots and runs commands; xentropyd seeds it, and again
// after a reboot. It is apart from the others because of what QEMU does to PVH
// guests (README.md).
func TestPVH(t *testing.T) {
	long(t, func(t *testing.T, d *xen.Dom0) {
		bootGuest(t, d, xen.GuestConfig{Name: "lab-pvh", Type: xen.PVH})
		s := service(t, d, "console = false\n")
		f := follow(t, d, xen.GuestConfig{Name: "lab-pvh", Type: xen.PVH, Lines: []string{uuid(3), onReboot}})
		s.agrees(t, f, 1)
		f.reboots(t)
		s.agrees(t, f, 2)
	})
}

// agrees compares what a guest's kernel and entropy-guest say with what the
// daemon says.
func (s *daemon) agrees(t *testing.T, f follower, least uint64) {
	require.Equal(t, "256", strings.TrimSpace(run(t, f, "cat", "/proc/sys/kernel/random/entropy_avail")))
	s.until(t, "the daemon knows of it", f.config.Name, func(_ control.Status, g host.GuestStatus) bool {
		return g.Carrier == "vchan" && g.Protocol == 2 && g.Seeded &&
			g.KernelAcknowledged >= least && g.KernelCreditedBits >= 256*least &&
			g.KernelGeneration == g.CurrentGeneration && g.Violations == 0 && g.Failures == 0
	})
	said := f.says(t)
	require.True(t, said.Guest.Connected)
	require.GreaterOrEqual(t, said.Guest.KernelCreditedBits, uint64(256))
	require.Zero(t, said.Guest.KernelFailures)
}
