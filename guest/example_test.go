package guest_test

import (
	"context"
	"crypto/ecdh"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/xentropyd/xentropyd/guest"
	"github.com/xentropyd/xentropyd/transport"
	"github.com/xentropyd/xentropyd/transport/all"
)

// The main function of a unikernel, or of any program: from here on there are random bytes, seeded by the host where there is one and by the
// CPU's own sources in any case.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	dial := func(ctx context.Context) (transport.Conn, error) {
		return all.Carriers.Dial(ctx, "local:/run/xentropyd/local.sock") // on Xen "xen:", or any byte stream to the host
	}
	if os.Getenv("ENTROPY_HOST") == "" {
		dial = nil // this example runs where there is no host
	}
	g, err := guest.Open(ctx, dial, guest.WithLabel("web-1"))
	if err != nil {
		log.Fatal(err)
	}
	defer g.Close()

	material := make([]byte, 32)
	if _, err := g.Read(material); err != nil {
		log.Fatal(err)
	}
	key, err := ecdh.X25519().NewPrivateKey(material)
	clear(material)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("a key for", len(key.PublicKey().Bytes()), "bytes of public key; seeded:", g.Status().Seeded)
	// Output: a key for 32 bytes of public key; seeded: true
}
