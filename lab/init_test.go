//go:build lab && linux

package lab

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/host"
	"github.com/xentropyd/xentropyd/host/control"
	"github.com/xentropyd/xentropyd/lab/internal/xen"
)

// TestInit: entropy-guest is the only program of a guest, its process 1. With
// the kernel's modules beside it, it comes over the vchan; without, over the
// console, and says what is missing.
func TestInit(t *testing.T) {
	long(t, func(t *testing.T, d *xen.Dom0) {
		s := service(t, d, "")
		const program = "cp " + xen.BinDir + "/entropy-guest init"
		for _, c := range []struct{ name, script, carrier, says string }{
			{
				"init", program + ` && m=lib/modules/$(uname -r) && mkdir -p $m && cp /lab/modules/* $m/`,
				"vchan", "kernel modules loaded",
			},
			{"init-bare", program, "console", "modprobe -a xen-evtchn xen-gntalloc"},
		} {
			t.Run(c.name, func(t *testing.T) {
				image := packed(t, d, c.name, c.script)
				require.NoError(t, d.Create(t.Context(), xen.GuestConfig{Name: c.name, Image: image}))
				log := prints(t, d, c.name, "state=seeded")
				s.until(t, "its kernel is seeded", c.name, func(_ control.Status, g host.GuestStatus) bool {
					return g.Carrier == c.carrier && g.Protocol == 2 && g.KernelAcknowledged > 0 &&
						g.KernelCreditedBits >= 256
				})
				require.Contains(t, log, c.says)
				t.Logf("%s", log)
				require.NotContains(t, log, "Kernel panic")
			})
		}
	})
}
