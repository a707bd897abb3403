// Command probe is what the lab's scenarios run in dom0 and in guests beside
// the products: it reads and records what a clone could repeat, takes seeds as
// they come over the wire, shows all of xenstore, lets a domain run at a moment
// that is known, and is our end of the benchmark. See each command's -h.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// command declares its flags and gives what is run with what follows them.
type command func(*flag.FlagSet) func(ctx context.Context, arg string) error

var commands = map[string]command{
	"readers": readers, // record what the guest library gives
	"uuids":   uuids,   // record the UUIDs that the kernel makes
	"records": records, // FILE: print the records around the last restore
	"seeds":   seeds,   // print seeds as they came over the wire, in hexadecimal digits
	"store":   store,   // write every value that is seen in xenstore into a file
	"unpause": unpause, // DOMID: let a paused domain run, and print when
	"awake":   awake,   // FILE: write down when this machine was restored
	"bulk":    bulk,    // PATH: move bytes through a vchan
	"time":    clock,   // PROGRAM [ARGUMENT ...]: how long a program runs
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		log.Fatalf("probe: %v", err)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 || commands[args[0]] == nil {
		return fmt.Errorf("name a command: %s", strings.Join(slices.Sorted(maps.Keys(commands)), ", "))
	}
	set := flag.NewFlagSet(args[0], flag.ContinueOnError)
	do := commands[args[0]](set)
	if err := set.Parse(args[1:]); err != nil {
		return err
	}
	return do(ctx, set.Arg(0))
}
