// Command lab boots real Xen in QEMU and runs xentropyd's scenarios there. See README.md.
package main

import (
	"fmt"
	"os"

	"github.com/xentropyd/xentropyd/internal/cli"
	"github.com/xentropyd/xentropyd/lab/internal/debian"
)

func main() {
	root := cli.Root("lab", "Boot real Xen in QEMU and run xentropyd's scenarios there")
	root.Long = "lab fetches Debian packages into a cache, makes images of them and of this tree's programs, boots them in QEMU (no KVM, no special\n" +
		"hardware, nothing installed), and runs scenarios in dom0 and in guests."
	root.AddCommand(fetchCommand(), buildCommand(), runCommand(), shellCommand(), listCommand())
	os.Exit(cli.Run(root, os.Args[1:], os.Stdout, os.Stderr))
}

func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, "lab: "+format+"\n", args...) }

func openCache() (*debian.Cache, error) {
	root, err := debian.DefaultRoot()
	if err != nil {
		return nil, err
	}
	return &debian.Cache{Root: root, Log: progress}, nil
}
