package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/xentropyd/xentropyd/guest"
	"github.com/xentropyd/xentropyd/internal/cli"
	"github.com/xentropyd/xentropyd/transport"
)

const readLong = `Print random bytes from a generator that the host seeded.

On a terminal the bytes come as hexadecimal digits and a newline, elsewhere as
they are; --hex and --raw choose. When no host gives a seed within --wait, the
machine's own noise sources serve if they suffice, and a warning on standard
error says so; --require-host makes that an error.`

// ownTime is how long the machine's own noise sources may take. The jitter
// source alone needs some ten milliseconds.
const ownTime = 10 * time.Second

type readOptions struct {
	size        string
	hex, raw    bool
	host        string
	requireHost bool
	wait        time.Duration
}

func readCommand() *cobra.Command {
	var o readOptions
	cmd := &cobra.Command{
		Use:   "read -n N",
		Short: "Print random bytes",
		Long:  readLong,
		Example: `  entropy-guest read -n 32
  entropy-guest read -n 1M --require-host >key`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	f := cmd.Flags()
	f.StringVarP(&o.size, "bytes", "n", "", "`N` bytes: 1 to 1024G; k, M and G are powers of 1024")
	f.BoolVar(&o.hex, "hex", false, "print hexadecimal digits")
	f.BoolVar(&o.raw, "raw", false, "print the bytes as they are, even on a terminal")
	f.BoolVar(&o.requireHost, "require-host", false, "fail when the host gives no seed")
	f.DurationVar(&o.wait, "wait", 3*time.Second, "wait for the host's seed so `LONG`")
	hostFlag(cmd, &o.host)
	return cmd
}

func (o *readOptions) run(cmd *cobra.Command) error {
	n, err := parseSize(o.size)
	switch {
	case !cmd.Flags().Changed("bytes"):
		return cli.Usage(cli.WithHint(errors.New("read how many bytes"), "give -n, such as -n 32"))
	case err != nil:
		return cli.Usage(fmt.Errorf("flag -n: %w", err))
	case o.hex && o.raw:
		return cli.Usage(errors.New("flags --hex and --raw: choose one"))
	case o.wait <= 0:
		return cli.Usage(fmt.Errorf("flag --wait: %v: more than 0 is needed", o.wait))
	}
	address, err := hostAddress(cmd.Context(), o.host)
	if err != nil {
		return err
	}
	defer leave()
	g, err := o.open(cmd.Context(), address, cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	defer g.Close()
	out := cmd.OutOrStdout()
	if o.hex || !o.raw && isTerminal(out) {
		return printHex(cmd.Context(), out, g, n)
	}
	return printRaw(cmd.Context(), out, g, n)
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// open returns a seeded generator: by the host, or else by the machine's own
// sources.
func (o *readOptions) open(ctx context.Context, address string, stderr io.Writer) (*guest.Guest, error) {
	g, err := openHosted(ctx, address, o.wait)
	switch {
	case err == nil:
		return g, nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("wait for a seed: %w", context.Cause(ctx))
	}
	err = hostHint(address, fmt.Errorf("no seed from the host: %w", err))
	if o.requireHost {
		return nil, err
	}
	own, cancel := context.WithTimeout(ctx, ownTime)
	defer cancel()
	g, ownErr := guest.Open(own, nil, guest.Options{})
	if ownErr != nil {
		both := fmt.Errorf("%w; and the machine's own noise sources do not suffice: %w", err, ownErr)
		return nil, cli.WithHint(both, cli.Hint(err))
	}
	_ = cli.Say(stderr, slog.LevelWarn, fmt.Sprintf(
		"entropy-guest: warning: %s; these bytes come from this machine's own noise sources alone\nhint: %s\n",
		cli.Printable(err.Error()), cli.Hint(err)))
	return g, nil
}

// openHosted returns a generator that the host seeded, or why there is none. It
// ends when the host cannot be reached or closes the session: a guest that
// lives longer would try again. A host that refuses may still be gathering its
// own seed: it gets the whole wait.
//
// Of the own sources the CPU's instruction and the kernel's generator are mixed
// in at once. The others begin a moment after the host's seed: for a long read.
func openHosted(ctx context.Context, address string, wait time.Duration) (*guest.Guest, error) {
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	ctx, cancel := context.WithTimeoutCause(ctx, wait, fmt.Errorf("%s: nothing came within %v", address, wait))
	defer cancel()
	dial := dialer(address)
	var refused atomic.Bool
	once := func(ctx context.Context) (transport.Conn, error) {
		c, err := dial(ctx)
		if err != nil {
			giveUp(err)
		}
		return c, err
	}
	g, err := guest.Open(ctx, once, guest.Options{
		Label: "entropy-guest read", RequireHost: true,
		Notify: func(s guest.Status) {
			if s.Host.Seeds == 0 && s.Host.LastError != "" {
				giveUp(fmt.Errorf("%s: %s", address, s.Host.LastError))
			}
			refused.Store(s.Host.Refused > 0)
		},
	})
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		if refused.Load() {
			err = fmt.Errorf("%w: the host refuses: it is not seeded itself, or has no noise source left", err)
		}
		return nil, err
	}
	return g, nil
}
