// Command probe is what the lab's scenarios run in dom0 and in guests beside the products: it reads and records what a clone could repeat, takes
// seeds as they come over the wire, shows all of xenstore, and lets a domain run at a moment that is known.
package main

import (
	"os"

	"github.com/xentropyd/xentropyd/internal/cli"
)

func main() {
	root := cli.Root("probe", "What the lab's scenarios run inside")
	root.AddCommand(readersCommand(), uuidsCommand(), recordsCommand(), seedsCommand(), storeCommand(), unpauseCommand(), awakeCommand())
	os.Exit(cli.Run(root, os.Args[1:], os.Stdout, os.Stderr))
}
