// Command shell boots one of the lab's machines and gives its dom0's console,
// with xentropyd and a guest running:
//
//	go run ./lab/shell [-machine xenstored|oxenstored] [-update]
package main

import (
	"context"
	"flag"
	"log"

	"github.com/xentropyd/xentropyd/lab/internal/debian"
	"github.com/xentropyd/xentropyd/lab/internal/xen"
)

func main() {
	name := flag.String("machine", xen.Machines[0].Name, "the machine's `NAME`")
	update := flag.Bool("update", false, "take newer versions of packages that are there already")
	flag.Parse()
	if err := shell(*name, *update); err != nil {
		log.Fatalf("lab: %v", err)
	}
}

func shell(name string, update bool) error {
	m, err := xen.Find(name)
	if err != nil {
		return err
	}
	cache, err := debian.OpenCache()
	if err != nil {
		return err
	}
	images, err := xen.Prepare(context.Background(), cache, m, update)
	if err != nil {
		return err
	}
	cache.Log("booting; Ctrl-A x ends the machine at any time")
	return xen.Shell(m, images)
}
