package source_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/source"
)

// The sources of this machine, whatever they are, seed a consumer.
func TestHarvestThisMachine(t *testing.T) {
	var sources []source.Source
	for _, f := range source.Probe() {
		if f.Source == nil {
			t.Logf("%s absent: %v", f.Info.Name, f.Err)
			continue
		}
		sources = append(sources, f.Source)
	}
	var ledger source.Ledger
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	h := source.NewHarvester(sources, func(b source.Batch) {
		ledger.Add(b.Bits)
		if ledger.Seeded() {
			cancel()
		}
	})
	h.Demand(source.SeedBits)
	require.NoError(t, h.Run(ctx))
	require.True(t, ledger.Seeded())
	for _, s := range h.Status() {
		t.Logf("%+v", s)
	}
}
