package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"github.com/xentropyd/xentropyd/internal/cli"
	"github.com/xentropyd/xentropyd/internal/kernelrng"
)

const runLong = `Follow the host and feed the kernel's random number generator.

At each seed that the host pushes, the kernel is given fresh bytes, credits them, and takes a new key from them at once; the host is
told what really happened. When the host goes away it is dialled again, for ever. Needs CAP_SYS_ADMIN.

Under systemd (Type=notify) the service is ready once the kernel was seeded. What run is doing stands in the status file, for
entropy-guest status.`

// maxLabel is what protocol 2 allows, in bytes.
const maxLabel = 64

type runOptions struct {
	host, label, statusFile string
	dryRun, once            bool
	wait                    time.Duration
}

func runCommand() *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Follow the host and feed the kernel",
		Long:  runLong,
		Example: `  entropy-guest run
  entropy-guest run --once --wait 10s     # in an initramfs
  entropy-guest run --dry-run             # without privileges: feeds nothing`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	f := cmd.Flags()
	f.StringVar(&o.label, "label", "", "`NAME` that the host shows for this guest, at most 64 bytes (default the host name)")
	f.StringVar(&o.statusFile, "status-file", defaultStatusFile, "write what is going on to `FILE`; empty for none")
	f.BoolVar(&o.dryRun, "dry-run", false, "take seeds, but do not feed the kernel")
	f.BoolVar(&o.once, "once", false, "end after the first seed that was used and acknowledged")
	f.DurationVar(&o.wait, "wait", 0, "give up on the first seed after so `LONG`: with --once fail, else only tell systemd not to wait (default never)")
	hostFlag(cmd, &o.host)
	return cmd
}

func (o *runOptions) run(cmd *cobra.Command) error {
	address, err := hostAddress(o.host)
	if err != nil {
		return err
	}
	switch {
	case len(o.label) > maxLabel:
		return cli.Usage(fmt.Errorf("flag --label: %d bytes: at most %d", len(o.label), maxLabel))
	case o.wait < 0:
		return cli.Usage(fmt.Errorf("flag --wait: %v: must not be negative", o.wait))
	case o.label == "":
		o.label, _ = os.Hostname() // a guest without a name is a guest too
		o.label = o.label[:min(len(o.label), maxLabel)]
	}
	f := &follower{
		address: address, label: o.label, dial: dialer(address),
		once: o.once, wait: o.wait, log: slog.Default(), tell: tellSystemd,
		ready: func() bool { r, err := kernelrng.Ready(); return r || err != nil },
	}
	if !o.dryRun {
		k, err := kernelrng.Open()
		if err != nil {
			return noKernel(err)
		}
		defer k.Close()
		f.kernel = k
	}
	if o.statusFile != "" {
		f.file = newStatusFile(o.statusFile, address, o.label, o.dryRun)
		if err := f.file.write(f.latest); err != nil {
			if cmd.Flags().Changed("status-file") {
				return err
			}
			f.log.Warn("entropy-guest status will not see this process", "error", err)
			f.file = nil
		}
	}
	return f.follow(cmd.Context())
}

// noKernel adds to the error of a kernel that cannot be fed what can be done without.
func noKernel(err error) error {
	var privilege *kernelrng.PrivilegeError
	switch {
	case errors.As(err, &privilege):
		return cli.WithHint(err, "with --dry-run it follows the host without feeding the kernel")
	case errors.Is(err, kernelrng.ErrUnsupported):
		return cli.WithHint(err, "only Linux can be fed; entropy-guest read works here")
	}
	return err
}

// tellSystemd sends one state to the service manager, if there is one (sd_notify(3)).
func tellSystemd(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		slog.Warn("service manager not told", "error", err)
	}
}
