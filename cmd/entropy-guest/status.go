package main

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/xentropyd/xentropyd/guest/kernelrng"
	"github.com/xentropyd/xentropyd/internal/cli"
	"github.com/xentropyd/xentropyd/internal/proc"
)

const statusLong = `Show what entropy-guest run is doing, from its status file, and how the kernel's
generator is.

The exit status says how it stands, with --check without a word:

  0  well: the kernel was fed, and the host is connected
  1  run is not alive, or its status file cannot be read
  2  the command line was wrong
  3  degraded: the host is not connected any more, or has no healthy noise
     source left, or the kernel could not be fed the last time
  4  not seeded: no seed of the host has reached the kernel yet, or the kernel's
     generator is not seeded; with --dry-run, no seed came yet`

// kernelStatus is what the kernel says of its generator.
type kernelStatus struct {
	EntropyAvail int    `json:"entropy_avail"` // bits
	Ready        bool   `json:"ready"`
	Error        string `json:"error,omitempty"`
}

// overview is what status prints with --json.
type overview struct {
	Running bool         `json:"running"`
	Stale   string       `json:"stale,omitempty"` // why run, below, is no more
	State   string       `json:"state"`           // well, gone, degraded or not seeded
	Why     string       `json:"why,omitempty"`   // it is not well
	Kernel  kernelStatus `json:"kernel"`
	Run     *report      `json:"run"` // null: none was left

	exit int // the exit status that says the same as State
}

func statusCommand() *cobra.Command {
	var file string
	var asJSON, check bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what run is doing",
		Long:  statusLong,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := look(file)
			switch {
			case check:
				return cli.Quiet(o.exit)
			case asJSON:
				err = errors.Join(cli.JSON(cmd.OutOrStdout(), o), err)
			default:
				err = errors.Join(o.print(cmd.OutOrStdout(), proc.SinceBoot()), err)
			}
			if err == nil {
				err = cli.Quiet(o.exit)
			}
			return err
		},
	}
	cmd.Flags().StringVar(&file, "status-file", defaultStatusFile, "`FILE` that run writes")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.Flags().BoolVar(&check, "check", false, "print nothing: the exit status alone says how it stands")
	cmd.MarkFlagsMutuallyExclusive("json", "check")
	return cmd
}

// look gathers all there is to say. The error says why run is not alive.
func look(file string) (o overview, err error) {
	o.Kernel = askKernel()
	o.Run, err = readReport(file)
	if err == nil {
		if o.Stale = o.Run.gone(); o.Stale != "" {
			err = fmt.Errorf("status file %s is stale: %s", file, o.Stale)
			err = cli.WithHint(err, "start entropy-guest run again")
		}
	}
	o.Running = err == nil
	if err != nil {
		o.exit, o.State, o.Why = cli.ExitFailure, "gone", err.Error()
		return o, err
	}
	if o.exit, o.Why = o.Run.standing(o.Kernel); o.exit == cli.ExitOK {
		o.State = "well"
	} else {
		o.State = choose(o.exit == cli.ExitNotSeeded, "not seeded", "degraded")
	}
	return o, nil
}

// standing says how a run that is alive stands, and why it is not well.
func (r *report) standing(k kernelStatus) (exit int, why string) {
	host, fed := r.Guest.Host, r.Guest.Kernel
	failed := fed.Failures > 0 && !fed.Fed // the last time
	switch {
	case r.DryRun && host.Seeds == 0:
		return cli.ExitNotSeeded, "no seed of the host came yet"
	case !r.DryRun && fed.Seeds == 0 && failed:
		return cli.ExitNotSeeded, "the kernel could not be fed: " + fed.LastFailure
	case !r.DryRun && fed.Seeds == 0:
		return cli.ExitNotSeeded, "no seed of the host has reached the kernel yet"
	case !r.DryRun && k.Error == "" && !k.Ready:
		return cli.ExitNotSeeded, "the kernel was fed and wants more"
	case failed:
		return cli.ExitDegraded, "the kernel could not be fed the last time: " + fed.LastFailure
	case !host.Connected:
		return cli.ExitDegraded, "the host is not connected any more"
	case host.Degraded:
		return cli.ExitDegraded, "the host has no healthy noise source left"
	}
	return cli.ExitOK, ""
}

func askKernel() (k kernelStatus) {
	var errReady error
	k.EntropyAvail, errReady = kernelrng.EntropyAvail()
	ready, err := kernelrng.Ready()
	k.Ready = ready
	if err := errors.Join(errReady, err); err != nil {
		k.Error = err.Error()
	}
	return k
}

// print shows the overview to people.
func (o overview) print(w io.Writer, boot time.Duration) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(t, "%s\t%s\n", name, cli.Printable(fmt.Sprintf(format, args...)))
	}
	if o.Kernel.Error != "" {
		row("kernel", "not known: %s", o.Kernel.Error)
	} else {
		row("kernel", "%s, entropy_avail %d", choose(o.Kernel.Ready, "seeded", "not seeded yet"), o.Kernel.EntropyAvail)
	}
	if r := o.Run; r != nil {
		if o.Why != "" {
			row("state", "%s: %s", o.State, o.Why)
		} else {
			row("state", "%s", o.State)
		}
		host, fed := r.Guest.Host, r.Guest.Kernel
		state := choose(r.DryRun, "dry run, the kernel is not fed", "feeds the kernel")
		if o.Stale != "" {
			state = "stale: " + o.Stale
		}
		row("run", "%s (process %d, started %s, news %s)", state, r.PID, ago(boot, r.StartedAt), ago(boot, r.UpdatedAt))
		link := choose(host.Connected, "connected", "not connected")
		if host.Degraded {
			link += ", degraded: it has no healthy noise source"
		}
		row("host", "%s, %s", r.Host, link)
		row("instance", "%s, generation %d, %d changes, %d reconnects",
			cli.OrDash(host.Instance), host.Generation, host.Generations, host.Reconnects)
		row("seeds", "%d (%s, %s credited), last %s, %d refused",
			host.Seeds, cli.Bytes(host.SeedBytes), cli.Bits(float64(host.CreditedBits)), r.lastSeed(boot), host.Refused)
		row("fed", "%d times (%s credited), %d failures", fed.Seeds, cli.Bits(float64(fed.CreditedBits)), fed.Failures)
		row("acknowledged", "%d of %d", host.Acknowledged, host.Seeds)
		if fed.LastFailure != "" {
			row("last failure", "kernel: %s", fed.LastFailure)
		}
		if host.LastError != "" {
			row("last error", "%s", host.LastError)
		}
	}
	return t.Flush()
}

func choose(condition bool, yes, no string) string {
	if condition {
		return yes
	}
	return no
}
