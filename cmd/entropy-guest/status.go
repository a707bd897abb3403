package main

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/xentropyd/xentropyd/internal/cli"
	"github.com/xentropyd/xentropyd/internal/kernelrng"
	"github.com/xentropyd/xentropyd/internal/proc"
)

const statusLong = `Show what entropy-guest run is doing, from its status file, and how the kernel's generator is.

The exit status is 0 if run is alive, else 1.`

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
	Kernel  kernelStatus `json:"kernel"`
	Run     *report      `json:"run"` // null: none was left
}

func statusCommand() *cobra.Command {
	var file string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what run is doing",
		Long:  statusLong,
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return showStatus(cmd.OutOrStdout(), file, asJSON) },
	}
	cmd.Flags().StringVar(&file, "status-file", defaultStatusFile, "`FILE` that run writes")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func showStatus(w io.Writer, file string, asJSON bool) error {
	o := overview{Kernel: askKernel()}
	var err error
	o.Run, err = readReport(file)
	if err == nil {
		if o.Stale = o.Run.gone(); o.Stale != "" {
			err = cli.WithHint(fmt.Errorf("status file %s is stale: %s", file, o.Stale), "start entropy-guest run again")
		}
	}
	o.Running = err == nil
	if asJSON {
		return errors.Join(cli.JSON(w, o), err)
	}
	return errors.Join(o.print(w, time.Now()), err)
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
func (o overview) print(w io.Writer, now time.Time) error {
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
		g := r.Guest
		state := choose(r.DryRun, "dry run, the kernel is not fed", "feeds the kernel")
		if o.Stale != "" {
			state = "stale: " + o.Stale
		}
		row("run", "%s (process %d, started %s, news %s)", state, r.PID, cli.Ago(now, r.Started), cli.Ago(now, r.Updated))
		link := choose(g.Connected, "connected", "not connected")
		if g.Degraded {
			link += ", degraded: it has no healthy noise source"
		}
		row("host", "%s, %s", r.Host, link)
		row("instance", "%s, generation %d, %d changes, %d reconnects", cli.OrDash(g.Instance), g.Generation, g.Generations, g.Reconnects)
		row("seeds", "%d (%s, %s credited), last %s, %d refused", g.Seeds, cli.Bytes(g.SeedBytes), cli.Bits(float64(g.CreditedBits)), r.lastSeed(proc.SinceBoot()), g.Refused)
		row("fed", "%d times (%s credited), %d failures", g.KernelSeeds, cli.Bits(float64(g.KernelCreditedBits)), g.KernelFailures)
		row("acknowledged", "%d of %d", g.Acknowledged, g.Seeds)
		if g.LastFailure != "" {
			row("last failure", "%s", g.LastFailure)
		}
		if g.LastError != "" {
			row("last error", "%s", g.LastError)
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
