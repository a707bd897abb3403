package scenario

import (
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/lab/internal/report"
	"github.com/xentropyd/xentropyd/lab/internal/xen"
)

// pv takes a name that every part of the way must bear.
func pv(t *report.T, d *xen.Dom0) {
	bootGuest(t, d, xen.GuestConfig{Name: "lab gäst", Type: xen.PV}, "pv")
}

func bootGuest(t *report.T, d *xen.Dom0, c xen.GuestConfig, kind string) {
	g, err := d.Start(t.Context(), c)
	require.NoError(t, err)
	list, err := d.Run(t.Context(), "xl", "list")
	require.NoError(t, err)
	require.Contains(t, list, c.Name)
	t.Logf("%s", list)

	_, err = g.Shell(t.Context(), "for d in evtchn gntdev gntalloc xenbus; do ls -l /dev/xen/$d; done")
	require.NoError(t, err)
	is, err := g.Run(t.Context(), "cat", "/sys/hypervisor/guest_type")
	require.NoError(t, err)
	require.Equal(t, kind, strings.ToLower(strings.TrimSpace(is)))

	require.NoError(t, d.Destroy(t.Context(), c.Name))
	list, err = d.Run(t.Context(), "xl", "list")
	require.NoError(t, err)
	require.NotContains(t, list, c.Name)
}
