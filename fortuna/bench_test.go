package fortuna

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"io"
	"strconv"
	"sync"
	"testing"
)

// The baselines stand beside ours in one run:
//
//	go test -run - -bench . -count 10 ./fortuna | tee f.txt && benchstat -row /bytes -col /who f.txt

type ctrReader struct{ s cipher.Stream }

func (r ctrReader) Read(p []byte) (int, error) {
	r.s.XORKeyStream(p, p)
	return len(p), nil
}

func keyedStream() io.Reader {
	block, err := aes.NewCipher(make([]byte, 32))
	if err != nil {
		panic(err)
	}
	return ctrReader{cipher.NewCTR(block, make([]byte, 16))}
}

func seededGenerator() *Generator {
	g := NewGenerator()
	g.Reseed([]byte("benchmark"))
	return g
}

func seededFortuna(opts ...Option) *Fortuna {
	f := New(opts...)
	f.Reseed([]byte("benchmark"))
	return f
}

func benchmarkReader(b *testing.B, name string, n int, r io.Reader) {
	b.Run("bytes="+strconv.Itoa(n)+"/who="+name, func(b *testing.B) {
		p := make([]byte, n)
		b.SetBytes(int64(n))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := r.Read(p); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkRead(b *testing.B) {
	for _, n := range []int{16, 32, 256, 1024, 1025, 4096, 1 << 16, 1 << 20} {
		benchmarkReader(b, "AES-CTR", n, keyedStream())
		benchmarkReader(b, "crypto-rand", n, rand.Reader)
		benchmarkReader(b, "Generator", n, seededGenerator())
		benchmarkReader(b, "Fortuna", n, seededFortuna())
	}
}

// generation is a Freshness that never changes.
type generation uint64

func (g generation) Generation() uint64           { return uint64(g) }
func (g generation) Renew(uint64) ([]byte, error) { return nil, nil }

// BenchmarkRead32 is what options and the state of pool 0 add to a small read.
func BenchmarkRead32(b *testing.B) {
	benchmarkReader(b, "plain", 32, seededFortuna())
	benchmarkReader(b, "fresh", 32, seededFortuna(WithFreshness(generation(1))))
	ready := seededFortuna()
	ready.last.Store(1 << 62 >> 1)
	ready.start = ready.start.Add(-1 << 61)
	for range 2 {
		if err := ready.AddEvent(0, 0, make([]byte, 32)); err != nil {
			b.Fatal(err)
		}
	}
	benchmarkReader(b, "pool0-waits", 32, ready)
}

// BenchmarkParallel gives the time of one read when that many goroutines read
// at once.
func BenchmarkParallel(b *testing.B) {
	for _, who := range []struct {
		name string
		r    io.Reader
	}{{"crypto-rand", rand.Reader}, {"Fortuna", seededFortuna()}} {
		for _, n := range []int{32, 4096} {
			for _, goroutines := range []int{1, 2} {
				name := "bytes=" + strconv.Itoa(n) + "/who=" + who.name + "/goroutines=" + strconv.Itoa(goroutines)
				b.Run(name, func(b *testing.B) {
					b.SetBytes(int64(n))
					var wg sync.WaitGroup
					for i := range goroutines {
						wg.Go(func() {
							p := make([]byte, n)
							for range (b.N + i) / goroutines {
								who.r.Read(p)
							}
						})
					}
					wg.Wait()
				})
			}
		}
	}
}

func BenchmarkAddEvent(b *testing.B) {
	f := New()
	event := make([]byte, 16)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := f.AddEvent(1, i%NumPools, event); err != nil {
			b.Fatal(err)
		}
	}
}
