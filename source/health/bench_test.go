package health

import "testing"

// BenchmarkMonitor is all tests over words and over bytes:
//
//	go test -run '^$' -bench Monitor ./source/health
func BenchmarkMonitor(b *testing.B) {
	for _, c := range []struct {
		name string
		Config
	}{
		{"words", Config{SampleBytes: 8, MinEntropy: 8}},
		{"bytes", Config{SampleBytes: 1, MinEntropy: 0.5}},
	} {
		b.Run(c.name, func(b *testing.B) {
			m, err := New(c.Config)
			if err != nil {
				b.Fatal(err)
			}
			r := good(1)
			data := make([]byte, 8192)
			for i := range data {
				data[i] = byte(r.Uint32())
			}
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				m.Reset() // the same words again would be a repeating pattern
				if err := m.Check(data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
