package fortuna_test

import (
	"fmt"

	"github.com/xentropyd/xentropyd/fortuna"
)

// A program that has a seed, and then collects events.
func Example() {
	f := fortuna.New()
	defer f.Close()
	buf := make([]byte, 16)
	_, err := f.Read(buf)
	fmt.Println(err)

	f.Reseed([]byte("32 bytes or more that nobody knows")) // from a hardware generator, a host, a seed file
	n, err := f.Read(buf)
	fmt.Println(n, err)
	err = f.AddEvent(1, 0, []byte{7, 3, 9}) // source 1, pool 0
	fmt.Println(err)
	// Output:
	// fortuna: not seeded yet: reseed, or add 64 bytes of events to pool 0
	// 16 <nil>
	// <nil>
}
