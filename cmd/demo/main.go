// Command demo shows xentropyd at work on this machine, in about ten seconds:
// go run ./cmd/demo.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/xentropyd/xentropyd/cmd/demo/internal/demo"
	"github.com/xentropyd/xentropyd/internal/cli"
)

func main() { cli.Main(root()) }

func root() *cobra.Command {
	var asJSON bool
	var daemon string
	r := cli.Root("demo", "Show xentropyd at work on this machine in about ten seconds")
	r.Long = `Start a daemon and three guests as processes of their own, kill a guest, kill
the daemon, begin a new generation, and show what becomes of it. Everything
happens in a temporary directory and is gone at the end. Root is not needed.

The daemon is the xentropyd beside this program; if there is none, it is built
(this takes Go, and a clone of the repository).

The exit status is 1 if a guest was not seeded, its reads stopped, or two reads
gave the same bytes.`
	r.Flags().BoolVar(&asJSON, "json", false, "print nothing but one JSON object, at the end")
	r.Flags().StringVar(&daemon, "daemon", "", "the daemon's program, `PATH` of a xentropyd")
	version := r.RunE
	r.RunE = func(cmd *cobra.Command, args []string) error {
		if cmd.Flags().Changed("version") {
			return version(cmd, args)
		}
		// What a terminal sends that is closed.
		ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGHUP)
		defer stop()
		path, remove, err := findDaemon(ctx, daemon, cmd.ErrOrStderr())
		if err != nil {
			return err
		}
		defer remove()
		return play(ctx, path, cmd.OutOrStdout(), asJSON)
	}
	r.AddCommand(guestCommand())
	return r
}

func play(ctx context.Context, daemon string, out io.Writer, asJSON bool) error {
	var r demo.Result
	var err error
	width, live := terminal(out)
	switch {
	case asJSON:
		r, err = demo.Run(ctx, daemon, func(demo.Frame) {})
	case live:
		var in io.Reader
		if term.IsTerminal(int(os.Stdin.Fd())) {
			in = os.Stdin
		}
		r, err = demo.Live(ctx, daemon, in, out)
	default:
		r, err = demo.Run(ctx, daemon, demo.Plain(out))
	}
	if err != nil {
		return err
	}
	if asJSON {
		err = cli.JSON(out, r)
	} else {
		fmt.Fprintln(out)
		r.Summary(out, min(width, 100))
	}
	if err == nil && !r.OK {
		err = errors.New(r.Problems[0])
	}
	return err
}

// terminal says how wide the output is, and whether a table can be drawn on it
// in place.
func terminal(out io.Writer) (width int, live bool) {
	f, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 100, false
	}
	width = cli.Width(f)
	kind := os.Getenv("TERM")
	return width, os.Getenv("NO_COLOR") == "" && kind != "" && kind != "dumb"
}

// guestCommand is what the demo starts as a guest.
func guestCommand() *cobra.Command {
	var host, name string
	cmd := &cobra.Command{
		Use:    demo.GuestCommand,
		Short:  "Be a guest of the demo",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return demo.Guest(cmd.Context(), host, name, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&host, "host", "", "channel `ADDRESS` of the host")
	cmd.Flags().StringVar(&name, "name", "", "what to call itself")
	return cmd
}
