package scenario

import (
	"fmt"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/lab/internal/report"
	"github.com/xentropyd/xentropyd/lab/internal/xen"
)

// seeds: the last one is the first that has come again, under another domain number.
func seeds(t *report.T, d *xen.Dom0) {
	service(t, d, "console = false\n")
	times := make(map[string]uint64)
	for i, name := range []string{"first", "lab gäst", "third", "first"} {
		if times[name]++; times[name] > 1 {
			require.NoError(t, d.Destroy(t.Context(), name))
		}
		uuid := fmt.Sprintf("uuid = \"00000000-0000-4000-8000-%012d\"", i%3)
		g, err := d.Start(t.Context(), xen.GuestConfig{Name: name, Type: xen.PV, Lines: []string{uuid}})
		require.NoError(t, err)
		begin := time.Now()
		out, err := g.Run(t.Context(), "entropy-guest", "run", "--once", "--wait", servicePatient.String())
		require.NoError(t, err)
		t.Logf("%s: seeded in %v with the lab's own way there and back\n%s", name, time.Since(begin).Round(10*time.Millisecond), out)
		avail, err := g.Run(t.Context(), "cat", "/proc/sys/kernel/random/entropy_avail")
		require.NoError(t, err)
		require.Equal(t, "256", strings.TrimSpace(avail))
		poll(t, "the daemon knows of it", func() error {
			s, err := served(t, d, name, "vchan")
			if err == nil && (s.Protocol != 2 || !s.Seeded || s.KernelAcknowledged < times[name] || s.KernelCreditedBits < 256*times[name] || s.Violations > 0) {
				err = fmt.Errorf("%+v", s)
			}
			return err
		})
	}
}
