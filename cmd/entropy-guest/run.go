package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"github.com/xentropyd/xentropyd/guest/kernelrng"
	"github.com/xentropyd/xentropyd/internal/cli"
	"github.com/xentropyd/xentropyd/transport/console"
)

const runLong = `Follow the host and feed the kernel's random number generator.

At each seed that the host pushes, the kernel is given fresh bytes, credits
them, and takes a new key from them at once; the host is told what really
happened. When the host goes away it is dialled again, for ever. Needs
CAP_SYS_ADMIN.

The ADDRESS of a host is local:/PATH or unix:/PATH of its socket, xen: or
xen:DOMID for a vchan to its domain, or console: for the PV console.

In a Xen guest the host is found by itself: over a vchan where the kernel has
the devices for it, else over the console named ` + console.Name + `.
Modules that are missing (xen-evtchn, xen-gntalloc) are loaded if this process
may. --protocol1 speaks MirageOS's protocol of 2014 to a host that knows no
other, such as the first xentropyd on such a console: its bytes are mixed in,
but the kernel credits none of them and nothing is acknowledged.

In an initramfs it can be the first process: the kernel's command line then ends
in, for example, "rdinit=/entropy-guest -- run --exec /sbin/init". It mounts
/proc, /sys and /dev and loads the modules by itself, waits until the kernel is
seeded, leaves the machine as it found it and becomes CMD, without a seed too
once --wait (then 30s by default) is over. As the first process of a container
it is a process like any other, and ends at SIGTERM.

Under systemd (Type=notify) the service is ready once the kernel was seeded;
with --wait, also when that time is over, and at once where no host listens.
What run is doing stands in the status file, for entropy-guest status.`

// maxLabel is what protocol 2 allows, in bytes.
const maxLabel = 64

type runOptions struct {
	host, label, statusFile string
	dryRun, once            bool
	protocol1               bool
	modules, exec           string
	wait                    time.Duration
}

func runCommand() *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use:   "run [-- ARGUMENTS OF CMD]",
		Short: "Follow the host and feed the kernel",
		Long:  runLong,
		Example: `  entropy-guest run
  entropy-guest run --once --wait 10s     # in an initramfs
  entropy-guest run --exec /sbin/init     # as its first process
  entropy-guest run --host console: --protocol1
  entropy-guest run --dry-run             # without privileges: feeds nothing`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 && o.exec == "" {
				return fmt.Errorf("argument %q: only --exec takes any", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return o.start(cmd, args) },
	}
	f := cmd.Flags()
	f.StringVar(&o.label, "label", "",
		"`NAME` that the host shows for this guest, at most 64 bytes (default the host name)")
	f.StringVar(&o.statusFile, "status-file", defaultStatusFile, "write what is going on to `FILE`; empty for none")
	f.BoolVar(&o.dryRun, "dry-run", false, "take seeds, but do not feed the kernel")
	f.BoolVar(&o.once, "once", false, "end after the first seed that was used and acknowledged")
	f.DurationVar(&o.wait, "wait", 0, "give up on the first seed after so `LONG`: "+
		"with --once fail, else only tell systemd not to wait (default never)")
	f.BoolVar(&o.protocol1, "protocol1", false,
		"speak MirageOS's protocol of 2014, which has neither credit nor acknowledgement")
	f.StringVar(&o.modules, "modules", "",
		"look for kernel modules in `DIR` (default /lib/modules/ of the running kernel)")
	f.StringVar(&o.exec, "exec", "", "become `CMD` once the kernel is seeded, or --wait is over")
	hostFlag(cmd, &o.host)
	return cmd
}

// run follows the host. It returns at a signal or a mistake in the command
// line, and with --once when that is done.
func (o *runOptions) run(cmd *cobra.Command) error {
	address, err := hostAddress(cmd.Context(), o.host)
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
	loadModules(o.modules, reached(address))
	log := slog.Default()
	if waits(address) {
		late := cli.NewLateLog(log.Handler(), reportLag)
		defer late.Close()
		log = slog.New(late)
	}
	f := &follower{
		address: address, label: o.label, dial: dialer(address),
		patient: waits(address), protocol1: o.protocol1,
		once: o.once, wait: o.wait, log: log, tell: tellSystemd,
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
		f.lag = reportLag
		file := newStatusFile(o.statusFile, address, o.label, o.dryRun)
		f.file, err = begin(file, cmd.Flags().Changed("status-file"), f.log)
		if err != nil {
			return err
		}
		defer f.file.close()
	}
	defer leave()
	return f.follow(cmd.Context())
}

// noKernel adds to the error of a kernel that cannot be fed what can be done
// without.
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

// tellSystemd sends one state to the service manager, if there is one
// (sd_notify(3)).
func tellSystemd(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		slog.Warn("service manager not told", "error", err)
	}
}
