package scenario

import (
	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/lab/internal/report"
	"github.com/xentropyd/xentropyd/lab/internal/xen"
)

func xenstoreSocket(t *report.T, d *xen.Dom0) { conform(t, d.Place, "/run/xenstored/socket") }

func xenstoreDom0Device(t *report.T, d *xen.Dom0) { conform(t, d.Place, "device") }

func xenstoreGuestDevice(t *report.T, d *xen.Dom0) {
	g, err := d.Start(t.Context(), xen.GuestConfig{Name: "xenstore", Type: xen.PV})
	require.NoError(t, err)
	conform(t, g, "device")
}

// conform runs the conformance tests against the machine's own daemon.
func conform(t *report.T, p xen.Place, where string) {
	GoTest(t, p, Test{Package: conformancePackage, Run: "^TestReal$", Env: []string{"XENSTORE_CONFORMANCE=" + where}})
}
