package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/xentropyd/xentropyd/host"
	"github.com/xentropyd/xentropyd/host/control"
	"github.com/xentropyd/xentropyd/internal/cli"
)

func statusCommand() *cobra.Command {
	var flags clientFlags
	var asJSON, check bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show a running daemon: is it seeded, from what, and who is served",
		Long: `Show a running daemon: is it seeded, from what, and who is served.

The exit status says how it stands: 0 seeded and serving, 1 there is none or it
cannot be asked, 2 the command line or the configuration is wrong, 3 degraded
(no noise source is healthy), 4 not seeded yet. With --check that is all, and
nothing is printed: for scripts and monitoring.`,
		Example: "  xentropyd status --check || echo \"no fresh entropy: status $?\"",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, s, err := flags.connect(cmd.Context())
			switch {
			case err != nil && check:
				if _, bad := flags.paths(); bad != nil {
					return cli.Quiet(cli.ExitUsage)
				}
				return cli.Quiet(cli.ExitFailure)
			case err != nil:
				return err
			case check:
			case asJSON:
				err = cli.JSON(cmd.OutOrStdout(), s)
			default:
				err = printStatus(cmd.OutOrStdout(), s)
			}
			if err != nil {
				return err
			}
			return cli.Quiet(standing(s.Entropy))
		},
	}
	flags.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.Flags().BoolVar(&check, "check", false, "print nothing, not even errors; the exit status says it")
	cmd.MarkFlagsMutuallyExclusive("json", "check")
	return cmd
}

// standing is how a daemon stands, as an exit status.
func standing(e host.EntropyStatus) int {
	switch {
	case !e.Seeded:
		return cli.ExitNotSeeded
	case e.Degraded:
		return cli.ExitDegraded
	}
	return cli.ExitOK
}

func printStatus(w io.Writer, s control.Status) error {
	fmt.Fprintf(w, "xentropyd %s, pid %d, up %s\n", s.Version, s.PID, showAge(s.Uptime))
	fmt.Fprintf(w, "%s\n", state(s.Entropy))
	fmt.Fprintf(w, "entropy: %s gathered, %s credited to guests, reseeded %d times\n",
		cli.Bits(s.Entropy.AssessedBits), cli.Bits(float64(s.Entropy.SpentBits)), s.Entropy.Reseeds)
	var names []string
	var notes [][2]string
	for _, src := range s.Entropy.Sources {
		name := src.Name
		if !src.Healthy {
			name += " (" + string(src.State) + ")"
		}
		names = append(names, name)
		if !src.Healthy && src.LastError != "" {
			notes = append(notes, [2]string{src.Name, string(src.State) + ": " + sourceTrouble(src)})
		}
	}
	fmt.Fprintf(w, "sources: %s\n", strings.Join(names, ", "))
	fmt.Fprintf(w, "guests at %s: %d connected, generation %d\n", strings.Join(s.Listen, ", "),
		s.Server.Sessions, s.Server.Generation)
	var rows [][]string
	for _, g := range s.Server.Guests {
		rows = append(rows, guestRow(g))
		if n := guestNotes(g); n != "" {
			notes = append(notes, [2]string{shortID(g.ID), n})
		}
	}
	if len(rows) > 0 {
		fmt.Fprintln(w)
		if err := cli.Table(w, []string{
			"GUEST", "NAME", "STATE", "SEEDS", "BYTES", "LAST SEED", "BUDGET LEFT",
			"CPU",
		}, rows); err != nil {
			return err
		}
	}
	var unserved [][2]string
	for _, d := range s.Domains {
		if why := notServed(d); why != "" {
			unserved = append(unserved, [2]string{domainName(d), why})
		}
		if n := carrierNotes(d); n != "" {
			notes = append(notes, [2]string{domainName(d), n})
		}
	}
	if len(unserved) > 0 {
		fmt.Fprintln(w, "\nnot served:")
		cli.List(w, unserved)
	}
	if len(notes) > 0 {
		fmt.Fprintln(w, "\nnotes:")
		cli.List(w, notes)
	}
	return nil
}

// state says in a sentence how the host stands.
func state(e host.EntropyStatus) string {
	switch {
	case !e.Seeded:
		return "not seeded yet: guests wait until enough noise is gathered"
	case e.Degraded && e.Policy == host.PolicyStop:
		return "stopped: no noise source is healthy, and the policy is to stop"
	case e.Degraded:
		return "degraded: no noise source is healthy; guests are served from the seeded state, without credit"
	}
	return "seeded and serving"
}

func guestRow(g host.GuestStatus) []string {
	name := g.Name
	if g.Label != "" && g.Label != g.Name {
		name = strings.TrimPrefix(name+" / "+g.Label, " / ")
	}
	how := "waiting"
	switch {
	case !g.Connected:
		how = "gone"
	case g.Seeded:
		how = "seeded"
	}
	if !strings.HasPrefix(g.ID, g.Carrier+":") {
		how += ", " + g.Carrier
	}
	return []string{
		shortID(g.ID), cli.OrDash(name), how, fmt.Sprint(g.Seeds), cli.Bytes(g.Bytes), ago(g.LastSeed),
		fmt.Sprintf("%d of %d B", g.BudgetLeft, g.BudgetBytes), cpu(g.CPU),
	}
}

// showAge shows an age, "-" for never.
func showAge(a host.Age) string {
	d, ever := a.Ago()
	if !ever {
		return "-"
	}
	return cli.Duration(d)
}

// ago shows how long ago something was, "-" for never.
func ago(a host.Age) string {
	if a.IsZero() {
		return "-"
	}
	return showAge(a) + " ago"
}

// shortID cuts the UUID in a Xen guest's ID, whose name stands beside it. All
// of it is in --json.
func shortID(id string) string {
	if uuid, ok := strings.CutPrefix(id, "domain "); ok && len(uuid) == 36 {
		return "domain " + uuid[:8] + "…"
	}
	return id
}

// guestNotes says what is out of the ordinary with a guest.
func guestNotes(g host.GuestStatus) string {
	var notes []string
	add := func(n uint64, format string) {
		if n > 0 {
			notes = append(notes, fmt.Sprintf(format, n))
		}
	}
	add(g.Violations, "broke the rules %d times")
	add(g.Refused, "refused %d times")
	add(g.Slowed, "slowed down %d times, for its frames or its CPU time")
	add(g.Failures, "reported %d failures")
	if g.LastFailure != "" {
		notes = append(notes, "last failure: "+g.LastFailure)
	}
	if g.LastError != "" {
		notes = append(notes, "last session ended: "+g.LastError)
	}
	return cli.Printable(strings.Join(notes, "; "))
}
