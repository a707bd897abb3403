package main

import (
	"context"
	"errors"

	"github.com/xentropyd/xentropyd/source"
	"github.com/xentropyd/xentropyd/source/health"
	"github.com/xentropyd/xentropyd/source/sourcetest"
)

// sources measures each noise source on its own, and RDRAND against a bare loop
// of the instruction.
func sources(s *setup) ([]comparison, error) {
	const size = 8 << 10
	buf := make([]byte, size)
	var list []comparison
	for _, f := range source.Probe() {
		if f.Source == nil || f.Info.ID == source.IDArrivals {
			continue
		}
		s.defer_(func() { f.Source.Close() })
		m, err := health.New(health.Config{SampleBytes: f.Info.SampleBytes, MinEntropy: f.Info.MinEntropy})
		if err != nil {
			return nil, err
		}
		size := size
		if f.Info.ID == source.IDJitter {
			size = 64 * f.Info.SampleBytes
		}
		raw := mb(f.Info.Name, size, func() {
			_, err := f.Source.Sample(context.Background(),
				buf[:size])
			s.fail(err)
		})
		tested := mb(f.Info.Name+" with health tests", size, func() {
			_, err := f.Source.Sample(context.Background(), buf[:size])
			s.fail(errors.Join(err, m.Check(buf[:size])))
		})
		switch f.Info.ID {
		case source.IDRDRAND:
			bare := mb("bare loop of the instruction", size, func() { sourcetest.BareRDRAND(size / 8) })
			list = append(list,
				comparison{name: "source rdrand", unit: "MB/s", field: []contender{bare, raw}, target: atLeast(0.9)},
				comparison{
					name: "source rdrand, health-tested", unit: "MB/s",
					field: []contender{tested}, target: atLeast(100),
				})
		case source.IDRDSEED:
			bare := mb("bare loop of the instruction", size, func() { sourcetest.BareRDSEED(size / 8) })
			list = append(list, comparison{name: "source rdseed", unit: "MB/s", field: []contender{bare, raw, tested}})
		default:
			list = append(list, comparison{
				name: "source " + f.Info.Name, unit: "MB/s",
				field: []contender{raw, tested},
			})
		}
	}
	return list, nil
}
