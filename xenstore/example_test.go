package xenstore_test

import (
	"context"
	"fmt"

	"github.com/xentropyd/xentropyd/xenstore"
	"github.com/xentropyd/xentropyd/xenstore/xenstoretest"
)

func Example() {
	ctx := context.Background()
	server := xenstoretest.NewServer()
	defer server.Close()
	c, err := xenstore.Dial(ctx, server.Dialer(0)) // on a real machine: xenstore.Open(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()

	path := xenstore.Join(xenstore.DomainPath(0), "data", "vchan", "7", "entropy")
	err = c.Transaction(ctx, func(tx *xenstore.Tx) error {
		if err := tx.Write(ctx, path+"/ring-ref", "8"); err != nil {
			return err
		}
		return tx.Write(ctx, path+"/event-channel", "3")
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	names, err := c.Directory(ctx, path)
	fmt.Println(names, err)
	_, err = c.Read(ctx, path+"/nothing")
	fmt.Println(err)
	// Output:
	// [ring-ref event-channel] <nil>
	// xenstore READ /local/domain/0/data/vchan/7/entropy/nothing: ENOENT: no such node
}
