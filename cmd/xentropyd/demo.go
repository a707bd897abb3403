package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/xentropyd/xentropyd/cmd/xentropyd/internal/demo"
	"github.com/xentropyd/xentropyd/internal/cli"
)

func demoCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show the whole thing on this machine in about ten seconds",
		Long: "Start a daemon and three guests as processes of their own, kill a guest, kill the daemon, begin a new generation, and show what\n" +
			"becomes of it. Everything happens in a temporary directory and is gone at the end. Root is not needed.\n\n" +
			"The exit status is 1 if a guest was not seeded, its reads stopped, or two reads gave the same bytes.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), hangup...)
			defer stop()
			return runDemo(ctx, cmd.OutOrStdout(), asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print nothing but one JSON object, at the end")
	return cmd
}

func runDemo(ctx context.Context, out io.Writer, asJSON bool) error {
	var r demo.Result
	var err error
	width, live := terminal(out)
	switch {
	case asJSON:
		r, err = demo.Run(ctx, func(demo.Frame) {})
	case live:
		var in io.Reader
		if term.IsTerminal(int(os.Stdin.Fd())) {
			in = os.Stdin
		}
		r, err = demo.Live(ctx, in, out)
	default:
		r, err = demo.Run(ctx, demo.Plain(out))
	}
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	if asJSON {
		err = cli.JSON(out, r)
	} else {
		fmt.Fprintln(out)
		r.Summary(out, min(width, 100))
	}
	if err == nil && !r.OK {
		err = errors.New("demo: " + r.Problems[0])
	}
	return err
}

// terminal says how wide the output is, and whether a table can be drawn on it in place.
func terminal(out io.Writer) (width int, live bool) {
	f, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 100, false
	}
	width = cli.Width(f)
	kind := os.Getenv("TERM")
	return width, os.Getenv("NO_COLOR") == "" && kind != "" && kind != "dumb"
}

// demoGuestCommand is what the demo starts as a guest.
func demoGuestCommand() *cobra.Command {
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
