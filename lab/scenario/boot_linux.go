package scenario

import (
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/lab/internal/report"
	"github.com/xentropyd/xentropyd/lab/internal/xen"
)

func boot(t *report.T, d *xen.Dom0) {
	list, err := d.Run(t.Context(), "xl", "list")
	require.NoError(t, err)
	require.Contains(t, list, "Domain-0")
	_, err = d.Shell(t.Context(), "for d in evtchn gntdev gntalloc xenbus privcmd; do ls -l /dev/xen/$d; done")
	require.NoError(t, err)
	for _, daemon := range []string{d.Machine.Xenstored, "xenconsoled"} {
		_, err = d.Run(t.Context(), "pidof", daemon)
		require.NoError(t, err, "%s does not run", daemon)
	}
	domid, err := d.Run(t.Context(), "xenstore-read", "domid")
	require.NoError(t, err)
	require.Equal(t, "0", strings.TrimSpace(domid))
}
