package transport

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/xentropyd/xentropyd/internal/xendev"
)

// Keeper has another process inherit open files, all that it is to have, and returns when it has them. It must hold them until the machine
// goes down. The files are closed when Keeper returns; one that was kept before comes again, so that an older process can be ended afterwards.
//
// These are the files of event channels from before a restore. Linux does not bear it that the last descriptor of such a one is closed: the process
// whose end does that is left in the kernel half dead, its parent never hears of it (a service manager goes on waiting), and what was
// to be closed after that file stays open and locked. See docs/xen.md.
type Keeper func(files []*os.File) error

// keepAfter is how long after a restore its files go to the keeper (our choice): until then the guest has better things to do than to start a program.
const keepAfter = 2 * time.Second

// KeepWith sets the process's Keeper, before the first Dial. Without one, what this process has dialled with xen: is closed at its end, whatever
// has become of it.
func KeepWith(k Keeper) { thisDomain.ports.keepWith(k) }

// Lost is closed when a call of this machine's drivers for Xen did not come back: a bug in the kernel has ended the thread that made it. What that holds
// nobody gives back while the process lives, so a service should end then and be started again.
func Lost() <-chan struct{} { return xendev.Lost() }

// Leave is for the end of a process with a Keeper, after its last Conn was closed: it asks xenstore whether the domain is still the one that the process's event
// channels were made in. If not, or if there is no answer before ctx ends, the Keeper gets them. A restore that comes between the answer and the
// end of the process goes unnoticed.
func Leave(ctx context.Context) error { return thisDomain.leave(ctx) }

func (d domain) leave(ctx context.Context) error {
	d.left.drop()
	if !d.ports.any() {
		return nil
	}
	own, err := d.number(ctx)
	if err != nil {
		d.ports.allAside()
	} else {
		d.ports.restored(own)
	}
	return errors.Join(err, d.ports.handOver())
}

// number asks for the domain's number, of a new connection to xenstore.
func (d domain) number(ctx context.Context) (uint16, error) {
	store, err := d.store(ctx)
	if err != nil {
		return 0, err
	}
	defer store.Close()
	own, err := store.OwnDomID(ctx)
	if err != nil {
		return 0, fmt.Errorf("ask xenstore for this domain's number: %w", err)
	}
	return own, nil
}

func (s *ports) keepWith(k Keeper) {
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
