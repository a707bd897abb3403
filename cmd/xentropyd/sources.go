package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/xentropyd/xentropyd/cmd/xentropyd/internal/config"
	"github.com/xentropyd/xentropyd/host/control"
	"github.com/xentropyd/xentropyd/internal/cli"
	"github.com/xentropyd/xentropyd/source"
)

// When no daemon runs, the sources are tried for so long. One that has not
// answered by answerTime is shown as one that does not, and is left behind at
// the end; there is no need to be patient with it.
const (
	probeTime  = 3 * time.Second
	answerTime = 2 * time.Second
	leaveTime  = 100 * time.Millisecond
)

// sourcesOutput is what --json prints.
type sourcesOutput struct {
	Running bool `json:"running"` // false: the sources were tried just now, by this command
	control.Sources
}

func sourcesCommand() *cobra.Command {
	var flags clientFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "sources",
		Short: "Show the noise sources: which are here, how good, and why others are not",
		Long: `Show every noise source: what is here, what it gives and claims, whether its
health tests pass, and why the others are not here. Asks a running daemon; when
there is none, tries the sources for up to three seconds.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out, err := flags.sources(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return cli.JSON(cmd.OutOrStdout(), out)
			}
			return printSources(cmd.OutOrStdout(), out)
		},
	}
	flags.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// sources asks the daemon, or looks itself when there is none.
func (f *clientFlags) sources(ctx context.Context) (sourcesOutput, error) {
	c, _, err := f.connect(ctx)
	switch {
	case err == nil:
		s, err := c.Sources(ctx)
		return sourcesOutput{true, s}, hintForClient(err)
	case !errors.Is(err, control.ErrNotRunning):
		return sourcesOutput{}, err
	}
	conf, err := loadConfig(f.config)
	if err != nil && f.config != "" {
		return sourcesOutput{}, err
	}
	if err != nil {
		conf = config.Default()
	}
	list := try(ctx, findSources(conf.Sources), conf.Sources.Alpha)
	return sourcesOutput{false, control.Sources{Sources: list}}, nil
}

// try harvests until each source has passed or failed its start-up test, or
// time is up. A source that hangs has its place in the list like any other.
func try(ctx context.Context, found sources, alpha float64) []source.Status {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	changed := make(chan struct{}, 1)
	h := source.NewHarvester(found.present(), func(source.Batch) {}, source.WithAlpha(alpha),
		source.WithReadTimeout(answerTime), source.WithGrace(leaveTime), source.WithNotify(func(source.Status) {
			select {
			case changed <- struct{}{}:
			default:
			}
		}))
	h.Demand(1 << 16)
	done := make(chan error, 1)
	run, stop := context.WithCancel(ctx)
	go func() { done <- h.Run(run) }()
	for settled := false; !settled && ctx.Err() == nil; {
		select {
		case <-changed:
		case <-ctx.Done():
		}
		settled = !slices.ContainsFunc(h.Status(), func(s source.Status) bool {
			return s.State == source.StateStarting && s.Name != source.NameArrivals
		})
	}
	list := append(h.Status(), found.absent()...)
	for i := range list {
		list[i].RetryIn = 0 // nobody will
	}
	stop()
	if err := <-done; err != nil {
		slog.Debug("noise sources tried", "error", err)
	}
	return list
}

func printSources(w io.Writer, out sourcesOutput) error {
	if !out.Running {
		fmt.Fprintln(w, "no xentropyd is running; this is what a look just now found")
		fmt.Fprintln(w)
	}
	var rows [][]string
	var used, missing [][2]string
	for _, s := range out.Sources.Sources {
		if s.State == source.StateAbsent {
			missing = append(missing, [2]string{s.Name, sourceTrouble(s)})
			continue
		}
		rows = append(rows, sourceRow(s))
		text := s.Description
		if s.LastError != "" {
			text += "; " + sourceTrouble(s)
		}
		used = append(used, [2]string{s.Name, text})
	}
	if err := cli.Table(w, []string{
		"SOURCE", "HEALTH", "RATE", "CLAIMS A SAMPLE", "SAMPLES",
		"GATHERED",
	}, rows); err != nil {
		return err
	}
	fmt.Fprintln(w, "\nwhat they are:")
	cli.List(w, used)
	if len(missing) > 0 {
		fmt.Fprintln(w, "\nnot used:")
		cli.List(w, missing)
	}
	if out.Running {
		fmt.Fprintf(w, "\n%s credited to guests so far\n", cli.Bits(float64(out.SpentBits)))
	}
	return nil
}

// sourceTrouble says why a source is not used, or was not, and when it is tried
// again.
func sourceTrouble(s source.Status) string {
	text := strings.TrimPrefix(s.LastError, s.Name+": ")
	if s.State == source.StateAbsent {
		text = strings.Replace(text, source.ErrAbsent.Error()+": ", "", 1) // which is said beside it
	}
	if s.RetryIn > 0 {
		text += "; looked at again in " + cli.Duration(time.Duration(s.RetryIn*float64(time.Second)))
	}
	return cli.Printable(text)
}

func sourceRow(s source.Status) []string {
	claim := fmt.Sprintf("%.3g of %d bits", s.Declared, 8*s.SampleBytes)
	gathered := cli.Bits(s.MinEntropyBits)
	if !s.Credited {
		claim, gathered = "no credit", "-"
	}
	rate := "-"
	if s.BytesPerSecond > 0 {
		rate = cli.Rate(s.BytesPerSecond)
	}
	return []string{s.Name, string(s.State), rate, claim, fmt.Sprint(s.Samples), gathered}
}
