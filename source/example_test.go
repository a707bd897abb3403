package source_test

import (
	"context"
	"fmt"
	"sync"

	"github.com/xentropyd/xentropyd/fortuna"
	"github.com/xentropyd/xentropyd/source"
)

// A program that seeds a generator from the timing of its own CPU alone.
func Example() {
	f := fortuna.New(fortuna.WithExplicitSeed())
	defer f.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	var mu sync.Mutex
	var seed []byte
	bits := 0.0
	sink := func(b source.Batch) { // what has passed the health tests
		mu.Lock()
		defer mu.Unlock()
		seed = append(seed, b.Data...)
		if bits += b.Bits; bits >= source.SeedBits {
			cancel() // enough
		}
	}
	h := source.NewHarvester([]source.Source{source.NewJitter()}, sink)
	h.Demand(source.SeedBits)
	_ = h.Run(ctx)
	f.Reseed(seed)
	clear(seed)

	n, err := f.Read(make([]byte, 32))
	fmt.Println(n, err)
	// Output: 32 <nil>
}
