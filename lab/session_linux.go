package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/xentropyd/xentropyd/lab/internal/report"
	"github.com/xentropyd/xentropyd/lab/internal/xen"
	"github.com/xentropyd/xentropyd/lab/scenario"
)

// tidyLimit bounds the clearing up after a scenario.
const tidyLimit = 3 * time.Minute

// session runs the scenarios of one machine, in one boot as long as that lives.
type session struct {
	machine *xen.Machine
	images  *xen.Images
	logs    string
	runner  *report.Runner

	patience float64
	restores int

	dom0  *xen.Dom0
	boots int
}

func (s *session) run(ctx context.Context, o runOptions) {
	defer s.stop()
	for _, sc := range scenarios(s.machine, o) {
		if ctx.Err() != nil {
			return
		}
		s.scenario(ctx, sc)
	}
}

func (s *session) scenario(ctx context.Context, sc scenario.Scenario) {
	s.runner.Run(ctx, s.machine.Name+"/"+sc.Name, func(t *report.T) {
		if s.dom0 == nil {
			if err := s.boot(ctx); err != nil {
				t.Fatalf("%v", err)
			}
		}
		t.Cleanup(func() { s.tidy(t, sc) }) // after those of the scenario
		sc.Run(t, s.dom0)
	})
}

// boot boots the machine. One that does not come up is tried once more; nothing else is.
func (s *session) boot(ctx context.Context) error {
	var err error
	for range 2 {
		s.boots++
		begin := time.Now()
		dir := filepath.Join(s.logs, fmt.Sprintf("boot%d", s.boots))
		if s.dom0, err = xen.Boot(ctx, s.machine, s.images, dir); err == nil {
			s.dom0.Patience, s.dom0.Restores = s.patience, s.restores
			progress("%s is up after %.1fs", s.machine.Name, time.Since(begin).Seconds())
			return nil
		}
		if ctx.Err() != nil {
			return err
		}
		progress("boot %d: %v", s.boots, err)
	}
	return err
}

// tidy saves logs and destroys guests; a machine that does not bear that is ended, and the next scenario gets a new one.
func (s *session) tidy(t *report.T, sc scenario.Scenario) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), tidyLimit)
	defer cancel()
	if t.Context().Err() != nil {
		s.stop() // interrupted: nothing more is wanted of it
		return
	}
	err := s.dom0.Clear(ctx)
	if err == nil {
		var large string
		if large, err = s.dom0.Sweep(ctx); large != "" {
			t.Errorf("the scenario has left in dom0, KiB each, removed now:\n%s", large)
		}
	}
	if err == nil {
		err = s.dom0.SaveLogs(ctx, sc.Name)
	}
	if err != nil {
		t.Errorf("clear up: %v; the console's end: %q", err, s.dom0.Tail())
		s.stop()
	}
}

func (s *session) stop() {
	if s.dom0 != nil {
		s.dom0.Stop()
		s.dom0 = nil
	}
}
