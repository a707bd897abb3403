package conformance

import (
	"errors"
	"fmt"
	"strings"

	"github.com/xentropyd/xentropyd/xenstore"
)

// The domains that the tests of unprivileged connections use.
const guest, neighbour = 7, 8

func (s *suite) guest(domid uint16) *xenstore.Client {
	s.Helper()
	s.need(s.target.Domain != nil, "way to be another domain")
	return s.dial(s.target.Domain(domid))
}

// give makes a directory that a domain owns.
func (s *suite) give(name string, domid uint16) string {
	s.Helper()
	p := s.at(name)
	s.write(p, "")
	s.must(s.c.SetPerms(s.ctx, p, xenstore.Perm{DomID: domid, Access: xenstore.AccessNone}))
	return p
}

func guestPermissions(s *suite) {
	g := s.guest(guest)
	for _, test := range []struct {
		perms       []xenstore.Perm
		read, write bool
	}{
		{[]xenstore.Perm{{DomID: 0, Access: xenstore.AccessNone}}, false, false},
		{[]xenstore.Perm{{DomID: 0, Access: xenstore.AccessRead}}, true, false},
		{[]xenstore.Perm{{DomID: 0, Access: xenstore.AccessWrite}}, false, true},
		{[]xenstore.Perm{{DomID: 0, Access: xenstore.AccessBoth}}, true, true},
		{[]xenstore.Perm{
			{DomID: 0, Access: xenstore.AccessBoth},
			{DomID: guest, Access: xenstore.AccessNone},
		}, false, false},
		{[]xenstore.Perm{
			{DomID: 0, Access: xenstore.AccessNone},
			{DomID: guest, Access: xenstore.AccessRead},
		}, true, false},
		{[]xenstore.Perm{
			{DomID: 0, Access: xenstore.AccessNone},
			{DomID: neighbour, Access: xenstore.AccessBoth},
		}, false, false},
		{[]xenstore.Perm{{DomID: guest, Access: xenstore.AccessNone}}, true, true},
	} {
		s.write(s.at("p"), "v")
		s.must(s.c.SetPerms(s.ctx, s.at("p"), test.perms...))
		_, err := g.Read(s.ctx, s.at("p"))
		s.wantAccess(test.perms, "read", err, test.read)
		_, err = g.Directory(s.ctx, s.at("p"))
		s.wantAccess(test.perms, "list", err, test.read)
		s.wantAccess(test.perms, "write", g.Write(s.ctx, s.at("p"), "w"), test.write)
		s.wantAccess(test.perms, "create below", g.Write(s.ctx, s.at("p", "q"), "w"), test.write)
		s.must(s.c.Rm(s.ctx, s.at("p")))
	}
	// Whether there is something in what one may not read is not told, except
	// by oxenstored.
	s.write(s.at("hidden", "there"), "")
	_, err := g.Read(s.ctx, s.at("hidden", "there"))
	s.wantErr(err, xenstore.ErrPermission)
	_, err = g.Read(s.ctx, s.at("hidden", "not-there"))
	if !errors.Is(err, xenstore.ErrNotFound) {
		s.wantErr(err, xenstore.ErrPermission)
	}
}

func (s *suite) wantAccess(perms []xenstore.Perm, what string, err error, may bool) {
	s.Helper()
	if may != (err == nil) || err != nil && !errors.Is(err, xenstore.ErrPermission) {
		s.Errorf("%v: %s gives %v, allowed is %v", perms, what, err, may)
	}
}

func guestOwnership(s *suite) {
	g, n := s.guest(guest), s.guest(neighbour)
	p := s.give("own", guest)
	s.must(g.Write(s.ctx, p+"/a", "1"))
	perms, err := s.c.GetPerms(s.ctx, p+"/a")
	s.must(err)
	if perms[0].DomID != guest {
		s.Errorf("a domain does not own what it made: %v", perms)
	}
	_, err = n.Read(s.ctx, p+"/a")
	s.wantErr(err, xenstore.ErrPermission)
	s.must(g.SetPerms(s.ctx, p+"/a", xenstore.Perm{DomID: guest, Access: xenstore.AccessNone},
		xenstore.Perm{DomID: neighbour, Access: xenstore.AccessRead}))
	_, err = n.Read(s.ctx, p+"/a")
	s.must(err)
	s.wantErr(n.SetPerms(s.ctx, p+"/a", xenstore.Perm{
		DomID:  neighbour,
		Access: xenstore.AccessBoth,
	}), xenstore.ErrPermission)
	s.wantErr(g.SetPerms(s.ctx, p+"/a", xenstore.Perm{
		DomID:  neighbour,
		Access: xenstore.AccessBoth,
	}), xenstore.ErrPermission)
	s.must(g.Rm(s.ctx, p+"/a"))
	// Events come only of what one may read.
	w, err := n.Watch(s.ctx, s.dir)
	s.must(err)
	_, err = w.Wait(s.ctx)
	s.must(err)
	s.must(g.Write(s.ctx, p+"/secret", "1"))
	open := s.at("open")
	s.write(open, "")
	s.must(s.c.SetPerms(s.ctx, open, xenstore.Perm{DomID: 0, Access: xenstore.AccessRead}))
	for got := []string(nil); len(got) == 0 || got[len(got)-1] != open; {
		got, err = w.Wait(s.ctx)
		s.must(err)
		for _, e := range got {
			if strings.HasPrefix(e, p) {
				s.Errorf("domain %d is told of %s", neighbour, e)
			}
		}
	}
}

func guestNodeQuota(s *suite) {
	g := s.guest(guest)
	p := s.give("quota", guest)
	var err error
	made := 1
	for ; made < 2000 && err == nil; made++ {
		err = g.Mkdir(s.ctx, fmt.Sprintf("%s/%d/%d", p, made%20, made))
	}
	s.wantErr(err, xenstore.ErrQuota)
	s.must(s.c.Write(s.ctx, p+"/by-domain-0", "1"))
	s.must(g.Rm(s.ctx, p+"/0"))
	s.must(g.Mkdir(s.ctx, p+"/again"))
	s.must(s.c.Rm(s.ctx, p))
}

func guestNodeSize(s *suite) {
	g := s.guest(guest)
	p := s.give("size", guest)
	s.must(g.Write(s.ctx, p+"/a", strings.Repeat("x", 1900)))
	err := g.Write(s.ctx, p+"/a", strings.Repeat("x", 2100))
	if !errors.Is(err, xenstore.ErrQuota) && !errors.Is(err, xenstore.ErrTooBig) {
		s.Errorf("error is %v", err)
	}
	s.wantValue(p+"/a", strings.Repeat("x", 1900))
}

func guestWatchQuota(s *suite) {
	g := s.guest(guest)
	p := s.give("w", guest)
	var last *xenstore.Watch
	var err error
	n := 0
	for ; n < 1000; n++ {
		var w *xenstore.Watch
		if w, err = g.Watch(s.ctx, p); err != nil {
			break
		}
		last = w
	}
	s.wantErr(err, xenstore.ErrQuota)
	if n < 100 || n > 130 {
		s.Errorf("%d watches were taken", n)
	}
	s.must(last.Close())
	_, err = g.Watch(s.ctx, p)
	s.must(err)
}

func guestTransactionQuota(s *suite) {
	g := s.guest(guest)
	depth := 0
	var nest func() error
	nest = func() error {
		return g.Transaction(s.ctx, func(*xenstore.Tx) error {
			depth++
			return nest()
		})
	}
	s.wantErr(nest(), xenstore.ErrQuota)
	if depth < 10 || depth > 11 {
		s.Errorf("%d transactions at once", depth)
	}
	s.must(g.Transaction(s.ctx, func(*xenstore.Tx) error { return nil }))
}

func guestPrivileges(s *suite) {
	g := s.guest(guest)
	_, err := g.IsDomainIntroduced(s.ctx, guest)
	s.wantErr(err, xenstore.ErrPermission)
	s.wantErr(g.Introduce(s.ctx, 9, 1, 1), xenstore.ErrPermission)
	s.wantErr(g.Release(s.ctx, neighbour), xenstore.ErrPermission)
	s.wantErr(g.Write(s.ctx, "/not-mine", ""), xenstore.ErrPermission)
	id, err := g.OwnDomID(s.ctx)
	s.must(err)
	if id != guest {
		s.Errorf("own domid is %d", id)
	}
}
