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
