package conformance

import (
	"slices"

	"github.com/xentropyd/xentropyd/xenstore"
)

// watch sets a watch and takes its first event.
func (s *suite) watch(path string) *xenstore.Watch {
	s.Helper()
	w, err := s.c.Watch(s.ctx, path)
	s.must(err)
	s.Cleanup(func() { _ = w.Close() })
	s.wantEvent(w, path)
	return w
}

// wantEvent waits until a path has been reported; others before it do no harm.
func (s *suite) wantEvent(w *xenstore.Watch, path string) {
	s.Helper()
	for {
		got, err := w.Wait(s.ctx)
		if err != nil {
			s.Fatalf("no event for %s: %v", path, err)
		}
		if slices.Contains(got, path) {
			return
		}
	}
}

// barrier waits until all events of changes before it have arrived.
func (s *suite) barrier(w *xenstore.Watch) {
	s.Helper()
	s.write(w.Path(), "barrier")
	s.wantEvent(w, w.Path())
}

func (s *suite) wantNone(w *xenstore.Watch, when string) {
	s.Helper()
	if got := w.Take(); len(got) > 0 {
		s.Errorf("events %q %s", got, when)
	}
}

func watchFires(s *suite) {
	p := s.at("a")
	w := s.watch(p) // on a node that does not exist
	s.write(p, "1")
	s.wantEvent(w, p)
	s.write(p, "1") // the same value is a change too
	s.wantEvent(w, p)
	perms, err := s.c.GetPerms(s.ctx, p)
	s.must(err)
	s.must(s.c.SetPerms(s.ctx, p, perms...))
	s.wantEvent(w, p)
	s.must(s.c.Rm(s.ctx, p))
	s.wantEvent(w, p)
	s.must(s.c.Mkdir(s.ctx, p))
	s.wantEvent(w, p)
}

func watchTree(s *suite) {
	mark := s.watch(s.at("mark"))
	w := s.watch(s.at("t"))
	s.write(s.at("t", "x"), "1")
	s.wantEvent(w, s.at("t", "x"))
	s.write(s.at("t", "x", "y", "z"), "1")
	s.wantEvent(w, s.at("t", "x", "y", "z"))
	// A name that begins alike is not below, and to look is no change.
	s.barrier(mark)
	w.Take()
	s.write(s.at("tt"), "1")
	s.wantValue(s.at("t", "x"), "1")
	_, err := s.c.Directory(s.ctx, s.at("t"))
	s.must(err)
	s.barrier(mark)
	s.wantNone(w, "without a change")
}

func watchRemoved(s *suite) {
	s.write(s.at("a", "b", "c"), "1")
	above := s.watch(s.at("a"))
	mark := s.watch(s.at("mark"))
	below := s.watch(s.at("a", "b", "c"))
	s.must(s.c.Rm(s.ctx, s.at("a", "b")))
	s.wantEvent(below, s.at("a", "b", "c"))
	// From above it is one event, for the top of what was removed.
	s.barrier(mark)
	if got := above.Take(); !slices.Equal(got, []string{s.at("a", "b")}) {
		s.Errorf("events %q", got)
	}
}

func watchesApart(s *suite) {
	mark := s.watch(s.at("mark"))
	one, two := s.watch(s.at("a")), s.watch(s.at("a"))
	s.write(s.at("a"), "1")
	s.wantEvent(one, s.at("a"))
	s.wantEvent(two, s.at("a"))
	_ = one.Close()
	s.write(s.at("a"), "2")
	s.wantEvent(two, s.at("a"))
	_, err := one.Wait(s.ctx)
	s.wantErr(err, xenstore.ErrClosed)
	// What another connection does is seen too.
	other := s.dial(s.target.Dial)
	s.must(other.Write(s.ctx, s.at("a"), "3"))
	s.wantEvent(two, s.at("a"))
	s.barrier(mark)
	_ = two.Close()
	_ = two.Close()
}

func watchSpecial(s *suite) {
	s.watch(xenstore.IntroduceDomain)
	s.watch(xenstore.ReleaseDomain)
}

func watchDomains(s *suite) {
	s.need(s.target.Introduce != nil, "way to make domains")
	const id = 4711
	come, leave := s.watch(xenstore.IntroduceDomain), s.watch(xenstore.ReleaseDomain)
	s.target.Introduce(id)
	s.wantEvent(come, xenstore.IntroduceDomain)
	is, err := s.c.IsDomainIntroduced(s.ctx, id)
	s.must(err)
	if !is {
		s.Error("not introduced")
	}
	s.target.Release(id)
	s.wantEvent(leave, xenstore.ReleaseDomain)
	is, err = s.c.IsDomainIntroduced(s.ctx, id)
	s.must(err)
	if is {
		s.Error("still introduced")
	}
}
