package guest_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/xentropyd/xentropyd/guest"
	"github.com/xentropyd/xentropyd/guest/kernelrng"
	"github.com/xentropyd/xentropyd/transport/all"
)

// Random bytes, seeded by the host at an address. Nobody serves there when this
// example runs, so after three seconds the machine's own sources do.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	dial, err := all.Dialer("local:/run/xentropyd/example.sock") // on Xen "xen:"
	if err != nil {
		log.Fatal(err)
	}
	g, err := guest.Open(ctx, dial, guest.Options{Label: "web-1"})
	if err != nil {
		log.Fatal(err)
	}
	defer g.Close()

	token := make([]byte, 32)
	if _, err := g.Read(token); err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(token), "bytes; seeded by the host:", g.Status().Host.Seeds > 0)
	// Output: 32 bytes; seeded by the host: false
}

// The kernel is fed at each seed, so that crypto/rand stands on the host's seed
// too. This is what entropy-guest does.
func ExampleOptions_kernel() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var kernel kernelrng.Fake // in earnest: kernel, err := kernelrng.Open()
	dial := exampleHost       // in earnest: xen.Dialer(0)

	fed := make(chan uint64, 1)
	g, err := guest.Open(ctx, dial, guest.Options{
		Kernel:      &kernel,
		RequireHost: true,
		Notify: func(s guest.Status) {
			if s.Kernel.Seeds == 1 && s.Kernel.Fed {
				select {
				case fed <- s.Kernel.CreditedBits:
				default: // was told already
				}
			}
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer g.Close()
	fmt.Println("the kernel credits", <-fed, "bits")
	// Output: the kernel credits 256 bits
}
