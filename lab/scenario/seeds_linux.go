package scenario

import (
	"fmt"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/lab/internal/report"
	"github.com/xentropyd/xentropyd/lab/internal/xen"
)

// seeds: guests come one after another, and the first one comes again.
func seeds(t *report.T, d *xen.Dom0) {
	s := service(t, d, "console = false\n")
	var first follower
	for i, c := range []xen.GuestConfig{{Name: "first"}, {Name: "lab gäst"}, {Name: "third"}} {
		c.Lines = []string{fmt.Sprintf("uuid = \"00000000-0000-4000-8000-%012d\"", i), `on_reboot = "restart"`}
		f := follow(t, d, c)
		s.agrees(t, f, 1)
		if i == 0 {
			first = f
		}
	}
	comeAgain(t, d, first, func() {
		_, err := d.Run(t.Context(), "xl", "reboot", "-F", "first")
		require.NoError(t, err)
	})
	s.agrees(t, first, 2)
	status, err := s.status(t)
	require.NoError(t, err)
	require.Equal(t, 3, status.Server.Sessions)
}

// seedsPVH is apart from seeds because of what QEMU does to PVH guests (lab/README.md).
func seedsPVH(t *report.T, d *xen.Dom0) {
	bootGuest(t, d, xen.GuestConfig{Name: "lab-pvh", Type: xen.PVH}, "pvh")
	s := service(t, d, "console = false\n")
	f := follow(t, d, xen.GuestConfig{Name: "lab-pvh", Type: xen.PVH, Lines: []string{`uuid = "00000000-0000-4000-8000-000000000003"`, `on_reboot = "restart"`}})
	s.agrees(t, f, 1)
	comeAgain(t, d, f, func() {
		_, err := d.Run(t.Context(), "xl", "reboot", "-F", f.config.Name)
		require.NoError(t, err)
	})
	s.agrees(t, f, 2)
}

// agrees compares what a guest's kernel and entropy-guest say with what the daemon says.
func (s *daemon) agrees(t *report.T, f follower, least uint64) {
	avail, err := f.Run(t.Context(), "cat", "/proc/sys/kernel/random/entropy_avail")
	require.NoError(t, err)
	require.Equal(t, "256", strings.TrimSpace(avail))
	poll(t, "the daemon knows of it", func() error {
		status, err := s.status(t)
		if err != nil {
			return err
		}
		g, err := guestNamed(status, f.config.Name)
		if err == nil && (g.Carrier != "vchan" || g.Protocol != 2 || !g.Seeded || g.KernelAcknowledged < least || g.KernelCreditedBits < 256*least ||
			g.KernelGeneration != g.CurrentGeneration || g.Violations > 0 || g.Failures > 0) {
			err = fmt.Errorf("%+v", g)
		}
		return err
	})
	said, err := f.says(t)
	require.NoError(t, err)
	require.True(t, said.Guest.Host.Connected)
	require.GreaterOrEqual(t, said.Guest.Kernel.CreditedBits, uint64(256))
	require.Zero(t, said.Guest.Kernel.Failures)
}
