package xen

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/xentropyd/xentropyd/internal/xendev"
	"github.com/xentropyd/xentropyd/transport"
	"github.com/xentropyd/xentropyd/transport/internal/domain"
)

// keepAfter is how long after a restore its files go to the keeper (our
// choice): until then the guest has better things to do than to start a
// program.
const keepAfter = 2 * time.Second

// process is what this carrier asks of a process.
//
// The files that a Keeper gets are those of event channels from before a
// restore. Linux does not bear it that the last descriptor of such a one is
// closed: the process whose end does that is left in the kernel half dead, its
// parent never hears of it (a service manager goes on waiting), and what was to
// be closed after that file stays open and locked. See docs/xen/troubles.md.
type process struct{}

func (process) KeepWith(k transport.Keeper) { thisMachine.ports.keepWith(k) }

func (process) Lost() <-chan struct{} { return xendev.Lost() }

// Leave asks xenstore whether the domain is still the one that the process's
// event channels were made in. If not, or if there is no answer in time, the
// Keeper gets them. A restore that comes between the answer and the end of the
// process goes unnoticed.
func (process) Leave(ctx context.Context) error { return thisMachine.leave(ctx, this) }

func (m *machine) leave(ctx context.Context, a *attachment) error {
	a.drop()
	if !m.ports.any() {
		return nil
	}
	own, err := m.number(ctx)
	if err != nil {
		m.ports.allAside()
	} else {
		m.ports.restored(own)
	}
	return errors.Join(err, m.ports.handOver())
}

// number asks for the domain's number, of a new connection to xenstore.
func (m *machine) number(ctx context.Context) (uint16, error) {
	store, err := m.opener(ctx)
	if err != nil {
		return 0, err
	}
	defer store.Close()
	return domain.Number(ctx, store)
}

func (s *ports) keepWith(k transport.Keeper) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keep = k
}

func (s *ports) any() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all) > 0
}

// allAside is for the end of the process, in doubt.
func (s *ports) allAside() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.all {
		s.setAside(p)
	}
}

// handOver gives the keeper what is aside, if it does not have all of that.
func (s *ports) handOver() error {
	s.handing.Lock()
	defer s.handing.Unlock()
	s.mu.Lock()
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	keep := s.keep
	var list []*guestPort
	for _, p := range s.all {
		if p.aside {
			list = append(list, p)
		}
	}
	s.mu.Unlock()
	if keep == nil || len(list) <= s.kept {
		return nil
	}
	var files []*os.File
	defer func() {
		for _, f := range files {
			_ = f.Close() // not the last descriptor: the port has its own
		}
	}()
	for _, p := range list {
		two, err := p.Files()
		if err != nil {
			return fmt.Errorf("hand over an event channel of before a restore: %w", err)
		}
		files = append(files, two...)
	}
	if err := keep(files); err != nil {
		return fmt.Errorf("hand over %d files of event channels of before a restore: %w", len(files), err)
	}
	s.kept = len(list)
	return nil
}
