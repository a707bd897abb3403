package kernelrng

import "sync"

// Fake takes seeds like an RNG and feeds nothing: for tests. The zero value
// works. It keeps no seed.
type Fake struct {
	mu    sync.Mutex
	err   error
	seeds int
	bits  int
}

// Seed counts, and credits what an RNG would.
func (f *Fake) Seed(seed []byte, bits int) (credited int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return 0, f.err
	}
	credited = max(0, min(bits, 8*len(seed)))
	f.seeds++
	f.bits += credited
	return credited, nil
}

// Fail makes each later Seed give err, nil to work again.
func (f *Fake) Fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

// Taken returns how many seeds were taken, and the bits credited in all.
func (f *Fake) Taken() (seeds, bits int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seeds, f.bits
}
