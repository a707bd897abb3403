package guest_test

import (
	"context"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"time"

	"github.com/xentropyd/xentropyd/guest"
	"github.com/xentropyd/xentropyd/transport"
	"github.com/xentropyd/xentropyd/transport/xen"
)

// The whole main function of a unikernel that has a key and serves: to whoever
// sends a public key it answers with its own, and both then have a secret in
// common. This one is its own first client, and then ends.
func Example_unikernel() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	// The host of this machine, where there is a Xen. A nil dial has the CPU's
	// own sources serve alone.
	var dial transport.Dialer
	if _, err := xen.Carrier.Find(ctx); err == nil {
		dial = xen.Dialer(0)
	}
	g, err := guest.Open(ctx, dial, guest.Options{Label: "unikernel"})
	if err != nil {
		log.Fatal(err) // without random bytes there is nothing to do
	}
	defer g.Close()

	key, err := newKey(g)
	if err != nil {
		log.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- serve(l, key) }()

	secret, err := ask(l.Addr(), g)
	if err != nil {
		log.Fatal(err)
	}
	l.Close()
	fmt.Println(len(secret), "bytes in common, served:", <-served)
	// Output: 32 bytes in common, served: <nil>
}

// newKey makes a key from the Guest's bytes. X25519().GenerateKey(g) would take
// others: it ignores the reader that it is given, since Go 1.26.
func newKey(g *guest.Guest) (*ecdh.PrivateKey, error) {
	seed := make([]byte, 32)
	defer clear(seed)
	if _, err := g.Read(seed); err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	return ecdh.X25519().NewPrivateKey(seed)
}

// serve answers until the listener is closed.
func serve(l net.Listener, key *ecdh.PrivateKey) error {
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := agree(c, key); err != nil {
			log.Print(err)
		}
	}
}

// ask is a client, with a key of its own for this one connection.
func ask(server net.Addr, g *guest.Guest) ([]byte, error) {
	key, err := newKey(g)
	if err != nil {
		return nil, err
	}
	c, err := net.Dial(server.Network(), server.String())
	if err != nil {
		return nil, err
	}
	return agree(c, key)
}

// agree says its own public key, hears the other one, and closes. It
// authenticates nobody.
func agree(c net.Conn, key *ecdh.PrivateKey) ([]byte, error) {
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.Write(key.PublicKey().Bytes()); err != nil {
		return nil, err
	}
	theirs := make([]byte, 32)
	if _, err := io.ReadFull(c, theirs); err != nil {
		return nil, err
	}
	other, err := ecdh.X25519().NewPublicKey(theirs)
	if err != nil {
		return nil, err
	}
	shared, err := key.ECDH(other)
	if err != nil {
		return nil, err
	}
	return hkdf.Key(sha256.New, shared, nil, "example", 32)
}
