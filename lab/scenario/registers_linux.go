package scenario

import (
	"sync"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/lab/internal/report"
	"github.com/xentropyd/xentropyd/lab/internal/xen"
)

// registers has domains of both kinds and dom0 compete for the processors.
func registers(t *report.T, d *xen.Dom0) {
	places := []xen.Place{d.Place}
	for name, kind := range map[string]string{"registers-pv": xen.PV, "registers-pvh": xen.PVH} {
		g, err := d.Start(t.Context(), xen.GuestConfig{Name: name, Type: kind})
		require.NoError(t, err)
		places = append(places, g)
	}
	var wg sync.WaitGroup
	for _, p := range places {
		wg.Go(func() {
			t.Run(p.String(), func(t *report.T) {
				GoTest(t, p, Test{Package: insidePackage, Run: "^TestRegisters$", Env: []string{"LAB_REGISTERS=10s"}})
			})
		})
	}
	wg.Wait()
}
