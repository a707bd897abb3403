// Command entropy-guest is the guest's side of xentropyd: it seeds this
// machine's kernel from a host, or prints random bytes that the host seeded.
package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/xentropyd/xentropyd/internal/cli"
)

const long = `entropy-guest takes entropy from a host that runs xentropyd.

run follows the host for as long as it lives and feeds the kernel's random
number generator at each seed. read prints random bytes from a generator of its
own that the host seeded. status shows what run is doing.`

func root() *cobra.Command {
	r := cli.Root("entropy-guest", "take entropy from a host that runs xentropyd")
	r.Long = long
	r.AddCommand(runCommand(), readCommand(), statusCommand())
	return r
}

func main() {
	if isHolder(os.Args) {
		hold()
	}
	prepare()
	os.Args = append(os.Args[:1], asInit(isInit(), os.Args[1:])...)
	cli.Main(root())
}
