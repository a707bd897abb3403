package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"time"

	"github.com/spf13/cobra"

	"github.com/xentropyd/xentropyd/internal/cli"
	"github.com/xentropyd/xentropyd/lab/internal/debian"
	"github.com/xentropyd/xentropyd/lab/internal/report"
	"github.com/xentropyd/xentropyd/lab/internal/xen"
	"github.com/xentropyd/xentropyd/lab/scenario"
)

type runOptions struct {
	pattern string
	short   bool
	verbose bool
	logs    string
	limit   time.Duration
	// patience lengthens the times that scenarios assert.
	patience float64
	restores int
}

func runCommand() *cobra.Command {
	var o runOptions
	c := &cobra.Command{
		Use: "run", Args: cobra.NoArgs,
		Short: "Boot the machines and run scenarios in them",
		RunE:  func(cmd *cobra.Command, _ []string) error { return run(cmd, o) },
	}
	c.Flags().StringVar(&o.pattern, "run", "", "run the scenarios whose name MACHINE/SCENARIO this `REGEXP` matches")
	c.Flags().BoolVar(&o.short, "short", false, "run the short ones alone")
	c.Flags().BoolVarP(&o.verbose, "verbose", "v", false, "print what passing scenarios logged, too")
	c.Flags().StringVar(&o.logs, "logs", "", "keep logs in this `DIRECTORY` (default: a new one in the cache)")
	c.Flags().DurationVar(&o.limit, "timeout", 120*time.Minute, "give up after this time")
	c.Flags().Float64Var(&o.patience, "patience", 1, "lengthen the times that scenarios assert by this `FACTOR`, on a machine with other work")
	c.Flags().IntVar(&o.restores, "restores", usualRestores, "have the scenario Restores restore its guest so many `TIMES`")
	return c
}

// usualRestores is what the project promises: so many in a row.
const usualRestores = 50

func run(cmd *cobra.Command, o runOptions) error {
	machines, err := selected(o)
	if err != nil {
		return err
	}
	if err := xen.CheckHost(machines); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), o.limit)
	defer cancel()
	var images map[string]*xen.Images
	err = withCache(func(cache *debian.Cache) error {
		if images, err = build(ctx, cache, machines); err != nil {
			return err
		}
		if o.logs == "" {
			o.logs = filepath.Join(cache.Root, "logs", time.Now().Format("20060102-150405"))
		}
		return nil
	})
	if err != nil {
		return err
	}
	if o.logs, err = filepath.Abs(o.logs); err != nil {
		return err
	}
	progress("logs in %s", o.logs)
	runner := &report.Runner{Out: cmd.OutOrStdout(), Verbose: o.verbose}
	begin := time.Now()
	for _, m := range machines {
		s := session{machine: m, images: images[m.Arch], logs: filepath.Join(o.logs, m.Name), runner: runner, patience: o.patience, restores: o.restores}
		s.run(ctx, o)
	}
	return summary(cmd, runner, o, time.Since(begin), ctx.Err())
}

// selected are the machines that have something to run.
func selected(o runOptions) ([]*xen.Machine, error) {
	if _, err := regexp.Compile(o.pattern); err != nil {
		return nil, cli.Usage(fmt.Errorf("flag --run: %w", err))
	}
	var machines []*xen.Machine
	for _, m := range xen.Machines {
		if len(scenarios(m, o)) > 0 {
			machines = append(machines, m)
		}
	}
	if len(machines) == 0 {
		return nil, cli.Usage(cli.WithHint(fmt.Errorf("no scenario matches %q", o.pattern), "see lab list"))
	}
	return machines, nil
}

// scenarios are those that run on a machine.
func scenarios(m *xen.Machine, o runOptions) []scenario.Scenario {
	pattern := regexp.MustCompile(o.pattern)
	var list []scenario.Scenario
	for _, s := range scenario.All {
		if s.On(m) && pattern.MatchString(m.Name+"/"+s.Name) && (s.Short || !o.short) {
			list = append(list, s)
		}
	}
	return list
}

func summary(cmd *cobra.Command, r *report.Runner, o runOptions, took time.Duration, ended error) error {
	counts := make(map[report.Status]int)
	for _, result := range r.Results() {
		counts[result.Status]++
	}
	status := "ok  "
	if counts[report.Fail] > 0 || ended != nil {
		status = "FAIL"
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s\tlab\t%.0fs\t%d passed, %d failed, %d skipped; logs in %s\n",
		status, took.Seconds(), counts[report.Pass], counts[report.Fail], counts[report.Skip], o.logs)
	switch {
	case errors.Is(ended, context.DeadlineExceeded):
		return cli.WithHint(fmt.Errorf("not done after %v", o.limit), "give it more with --timeout")
	case ended != nil:
		return errors.New("interrupted")
	case counts[report.Fail] > 0:
		return fmt.Errorf("%d failed", counts[report.Fail])
	}
	return nil
}
