package scenario

import (
	"errors"
	"fmt"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/lab/internal/report"
	"github.com/xentropyd/xentropyd/lab/internal/xen"
)

// earlyInit: entropy-guest is the only program of a guest, its process 1. With the kernel's modules beside it, it comes over the vchan; without, over the
// console, and says what is missing.
func earlyInit(t *report.T, d *xen.Dom0) {
	s := service(t, d, "")
	for _, c := range []struct{ name, modules, carrier, says string }{
		{"init", "lib/modules", "vchan", "kernel modules loaded"},
		{"init-bare", "", "console", "modprobe -a xen-evtchn xen-gntalloc"},
	} {
		t.Run(c.name, func(t *report.T) {
			root, packed := bigFile(t, d, c.name, imageRoom), bigFile(t, d, c.name+".img", imageRoom)
			pack := "mkdir -p " + root + "/dev && cd " + root + " && cp " + xen.BinDir + "/entropy-guest init && mknod dev/console c 5 1"
			if c.modules != "" {
				pack += " && mkdir -p " + c.modules + "/$(uname -r) && cp /lab/modules/* " + c.modules + "/$(uname -r)/"
			}
			_, err := d.Shell(t.Context(), pack+" && find . | cpio -H newc -o > "+packed+" && rm -r "+root)
			require.NoError(t, err)
			require.NoError(t, d.Create(t.Context(), xen.GuestConfig{Name: c.name, Type: xen.PV, Image: packed}))
			var log string
			poll(t, "its kernel is seeded", func() error {
				status, err := s.status(t)
				if err != nil {
					return err
				}
				if log, err = d.Run(t.Context(), "cat", xen.ConsoleLog(c.name)); err != nil {
					return err
				}
				g, err := guestNamed(status, c.name)
				if err == nil && !strings.Contains(log, "state=seeded") {
					err = errors.New("it has not said so yet")
				}
				if err == nil && (g.Carrier != c.carrier || g.Protocol != 2 || g.KernelAcknowledged == 0 || g.KernelCreditedBits < 256) {
					err = fmt.Errorf("%+v", g)
				}
				if err != nil {
					err = fmt.Errorf("%w; its console:\n%s", err, log)
				}
				return err
			})
			require.Contains(t, log, c.says)
			t.Logf("%s", log)
			require.False(t, strings.Contains(log, "Kernel panic"))
		})
	}
}
