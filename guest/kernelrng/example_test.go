package kernelrng_test

import (
	"errors"
	"fmt"

	"github.com/xentropyd/xentropyd/guest/kernelrng"
)

// A Fake takes what an RNG would, for tests of programs that feed one.
func ExampleFake() {
	var k kernelrng.Fake
	credited, err := k.Seed(make([]byte, 32), 256)
	fmt.Println(credited, err)
	k.Fail(errors.New("out of order"))
	_, err = k.Seed(make([]byte, 32), 256)
	fmt.Println(err)
	fmt.Println(k.Taken())
	// Output:
	// 256 <nil>
	// out of order
	// 1 256
}
