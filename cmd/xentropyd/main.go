// Command xentropyd gives entropy to virtual machines: it gathers noise, tests
// it, and feeds every guest that connects.
package main

import (
	"github.com/spf13/cobra"

	"github.com/xentropyd/xentropyd/internal/cli"
)

func main() { cli.Main(root()) }

func root() *cobra.Command {
	r := cli.Root("xentropyd", "Give entropy to virtual machines")
	r.Long = `xentropyd gathers noise from the machine, tests it, mixes it, and feeds every
guest that connects: at once, again and again, and anew after a clone.`
	r.AddCommand(runCommand(), checkCommand(), statusCommand(), sourcesCommand(), renewCommand())
	return r
}
