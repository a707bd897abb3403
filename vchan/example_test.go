package vchan_test

import (
	"fmt"
	"io"

	"github.com/xentropyd/xentropyd/vchan"
	"github.com/xentropyd/xentropyd/vchan/ring"
)

// Both ends in one process. Between processes of one machine package local
// makes them, between domains package xen.
func Example() {
	server, client, err := vchan.Pipe(ring.Orders{Left: 10, Right: 11})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	fmt.Fprint(server, "the last words")
	if err := server.Close(); err != nil {
		fmt.Println(err)
	}
	said, err := io.ReadAll(client) // what a peer wrote is there when it is gone
	fmt.Printf("%s, %v\n", said, err)
	_, err = client.Write([]byte("hello?"))
	fmt.Println(err)
	// Output:
	// the last words, <nil>
	// write vchan client->server: the other end of the vchan is gone
}
