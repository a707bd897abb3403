package source_test

import (
	"testing"

	"github.com/xentropyd/xentropyd/source"
	"github.com/xentropyd/xentropyd/source/health"
	"github.com/xentropyd/xentropyd/source/sourcetest"
)

// BenchmarkInstruction compares the sources that are one instruction with a
// bare loop of it, and with the health tests on top:
//
//	go test -run '^$' -bench Instruction -count 5 ./source
func BenchmarkInstruction(b *testing.B) {
	for _, c := range []struct {
		name string
		bare func(int)
	}{{source.NameRDRAND, sourcetest.BareRDRAND}, {source.NameRDSEED, sourcetest.BareRDSEED}} {
		found, err := source.Find(c.name)
		if err != nil {
			b.Log(err)
			continue
		}
		s, info := found[0], found[0].Info()
		data := make([]byte, 8192)
		b.Run(info.Name+"/bare", func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				for range 16 { // each call as short as the source's
					c.bare(len(data) / 8 / 16)
				}
			}
		})
		b.Run(info.Name+"/source", func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Sample(b.Context(), data); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(info.Name+"/tested", func(b *testing.B) {
			m, err := health.New(health.Config{SampleBytes: info.SampleBytes, MinEntropy: info.MinEntropy})
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				n, err := s.Sample(b.Context(), data)
				if err == nil {
					err = m.Check(data[:n])
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkSource is the sources that are not instructions.
func BenchmarkSource(b *testing.B) {
	for _, f := range source.Probe() {
		if f.Source == nil || f.Info.ID == source.IDArrivals || f.Info.ID <= source.IDRDSEED {
			continue
		}
		b.Run(f.Info.Name, func(b *testing.B) {
			data := make([]byte, 1024)
			b.SetBytes(1024)
			for b.Loop() {
				if _, err := f.Source.Sample(b.Context(), data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkMark is what an arrival costs, with a reader now and then.
func BenchmarkMark(b *testing.B) {
	a := source.NewArrivals()
	data := make([]byte, 8192)
	for i := 0; b.Loop(); i++ {
		if i%512 == 0 {
			if _, err := a.Sample(b.Context(), data); err != nil {
				b.Fatal(err)
			}
		}
		a.Mark()
	}
}
