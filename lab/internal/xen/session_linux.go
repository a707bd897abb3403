package xen

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// tidyLimit bounds the clearing up after a scenario.
const tidyLimit = 3 * time.Minute

// Session is a machine for many scenarios, one after another: it is booted when
// the first wants it, and replaced when it is well no more.
type Session struct {
	Machine *Machine
	Images  string                           // their directory
	Logs    string                           // a directory for this machine's boots
	Log     func(format string, args ...any) // progress

	dom0  *Dom0
	boots int
}

// Dom0 gives the machine, up. One that does not come up is tried once more.
func (s *Session) Dom0(ctx context.Context) (*Dom0, error) {
	var err error
	for range 2 {
		if s.dom0 != nil {
			break
		}
		s.boots++
		begin := time.Now()
		s.dom0, err = Boot(ctx, s.Machine, s.Images, filepath.Join(s.Logs, fmt.Sprintf("boot%d", s.boots)))
		if err != nil {
			s.Log("boot %d: %v", s.boots, err)
			continue
		}
		s.Log("%s is up after %.1fs", s.Machine.Name, time.Since(begin).Seconds())
	}
	return s.dom0, err
}

// Tidy clears up after a scenario: it destroys all guests and saves the logs in
// the directory of that name. What the scenario has left behind is an error. A
// machine that does not bear it is ended.
func (s *Session) Tidy(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, tidyLimit)
	defer cancel()
	_, err := s.dom0.Shell(ctx, "for i in $(xenstore-list /local/domain); do [ $i = 0 ] || xl destroy $i || exit; done")
	var large string
	if err == nil {
		large, err = s.dom0.Sweep(ctx)
	}
	if err == nil {
		err = s.dom0.SaveLogs(ctx, name)
	}
	if err != nil {
		err = fmt.Errorf("clear up: %w; the console's end: %q", err, s.dom0.console.Tail())
		s.Stop()
	}
	if large != "" {
		err = errors.Join(err, fmt.Errorf("the scenario has left in dom0, KiB each, removed now:\n%s", large))
	}
	return err
}

// Stop ends the machine, if there is one.
func (s *Session) Stop() {
	if s.dom0 != nil {
		s.dom0.Stop()
		s.dom0 = nil
	}
}
