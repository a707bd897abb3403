package main

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"io"
	mathrandv2 "math/rand/v2"
	"sync"
	"time"

	"github.com/xentropyd/xentropyd/fortuna"
)

// generators compares Fortuna with what bounds it and with what else a Go
// program could read from.
func generators(s *setup) ([]comparison, error) {
	gen := fortuna.NewGenerator()
	gen.Reseed([]byte("bench"))
	f := fortuna.New()
	f.Reseed([]byte("bench"))
	s.defer_(func() { f.Close() })

	block, err := aes.NewCipher(make([]byte, 32))
	if err != nil {
		return nil, err
	}
	stream := cipher.NewCTR(block, make([]byte, 16))
	chacha := mathrandv2.NewChaCha8([32]byte{1})

	ctr := func(p []byte) contender {
		return mb("AES-256-CTR, keyed stream", len(p), func() { stream.XORKeyStream(p, p) })
	}
	generator := func(p []byte) contender {
		return mb("fortuna.Generator", len(p), func() { gen.Read(p) })
	}
	accumulator := func(p []byte) contender {
		return mb("fortuna.Fortuna", len(p), func() { f.Read(p) })
	}
	system := func(p []byte) contender {
		return mb("crypto/rand", len(p), func() { rand.Read(p) })
	}
	big, page, small := make([]byte, 1<<20), make([]byte, 4096), make([]byte, 32)
	return []comparison{
		{name: "generator 1 MiB", unit: "MB/s", field: []contender{
			ctr(big), generator(big), accumulator(big),
			system(big),
		}, target: atLeast(0.95)},
		{name: "generator 4 KiB", unit: "MB/s", field: []contender{
			ctr(page), generator(page), accumulator(page),
			system(page),
		}, target: atLeast(0.70)},
		{name: "fortuna 32 B", unit: "ns", field: []contender{
			ns("crypto/rand", func() { rand.Read(small) }),
			ns("fortuna.Fortuna", func() { f.Read(small) }),
			ns("math/rand/v2 ChaCha8", func() { chacha.Read(small) }),
		}, target: atMost(0.5)},
		{name: "fortuna 32 B, two goroutines", unit: "reads/µs", field: []contender{
			{"fortuna.Fortuna, one goroutine", func() float64 { return together(f, 1) }},
			{"fortuna.Fortuna, two goroutines", func() float64 { return together(f, 2) }},
			{"crypto/rand, two goroutines", func() float64 { return together(rand.Reader, 2) }},
		}, target: atLeast(1.8)},
	}, nil
}

// together is how many reads of 32 bytes n goroutines do in a microsecond.
func together(r io.Reader, n int) float64 {
	const reads = 20_000
	begin := make(chan struct{})
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			p := make([]byte, 32)
			r.Read(p)
			<-begin
			for range reads {
				r.Read(p)
			}
		})
	}
	start := time.Now()
	close(begin)
	wg.Wait()
	return float64(n*reads) * 1e3 / float64(time.Since(start).Nanoseconds())
}
