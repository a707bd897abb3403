package conformance

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/xentropyd/xentropyd/xenstore"
)

func (s *suite) wantErr(err, want error) {
	s.Helper()
	if !errors.Is(err, want) {
		s.Fatalf("error is %v, want %v", err, want)
	}
}

func values(s *suite) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	for _, v := range []string{"x", "", "two words", "\x00", "a\x00b\x00", string(every), "last"} {
		s.write(s.at("v"), v)
		s.wantValue(s.at("v"), v)
	}
	// Missing parents come with empty values.
	s.write(s.at("p", "q", "r"), "deep")
	s.wantValue(s.at("p", "q", "r"), "deep")
	s.wantValue(s.at("p", "q"), "")
	s.wantValue(s.at("p"), "")
}

func largeValue(s *suite) {
	n := 1900
	if s.priv {
		n = xenstore.MaxPayload - len(s.at("v")) - 1
		if !s.target.Socket {
			n -= 16 // the device counts the header
		}
		s.wantErr(s.c.Write(s.ctx, s.at("v"), strings.Repeat("y", n+1)), xenstore.ErrTooBig)
	}
	v := strings.Repeat("x", n)
	err := s.c.Write(s.ctx, s.at("v"), v)
	var e *xenstore.Error
	if errors.As(err, &e) && e.Name == "E2BIG" {
		v = v[:1900] // oxenstored's bound of 2048 holds for domain 0 too
		err = s.c.Write(s.ctx, s.at("v"), v)
	}
	s.must(err)
	s.wantValue(s.at("v"), v)
}

func missing(s *suite) {
	_, err := s.c.Read(s.ctx, s.at("no"))
	s.wantErr(err, xenstore.ErrNotFound)
	s.wantErr(err, fs.ErrNotExist)
	var e *xenstore.Error
	if !errors.As(err, &e) || e.Name != "ENOENT" || e.Op != "READ" || e.Path != s.at("no") {
		s.Fatalf("error is %#v", err)
	}
	_, err = s.c.Directory(s.ctx, s.at("no"))
	s.wantErr(err, xenstore.ErrNotFound)
	_, err = s.c.GetPerms(s.ctx, s.at("no"))
	s.wantErr(err, xenstore.ErrNotFound)
	s.wantErr(s.c.SetPerms(s.ctx, s.at("no"), xenstore.Perm{Access: xenstore.AccessNone}), xenstore.ErrNotFound)
}

func mkdir(s *suite) {
	s.must(s.c.Mkdir(s.ctx, s.at("a", "b")))
	s.wantValue(s.at("a", "b"), "")
	s.wantValue(s.at("a"), "")
	s.write(s.at("a", "b"), "kept")
	s.must(s.c.Mkdir(s.ctx, s.at("a", "b")))
	s.wantValue(s.at("a", "b"), "kept")
}

func remove(s *suite) {
	s.write(s.at("a", "b", "c"), "1")
	s.write(s.at("a", "d"), "2")
	s.must(s.c.Rm(s.ctx, s.at("a")))
	for _, p := range []string{s.at("a"), s.at("a", "b"), s.at("a", "b", "c"), s.at("a", "d")} {
		_, err := s.c.Read(s.ctx, p)
		s.wantErr(err, xenstore.ErrNotFound)
	}
	s.must(s.c.Rm(s.ctx, s.at("a")))
	s.wantErr(s.c.Rm(s.ctx, s.at("a", "b")), xenstore.ErrNotFound)
	s.wantErr(s.c.Rm(s.ctx, "/"), xenstore.ErrInvalid)
	s.wantValue(s.dir, "")
}

func directory(s *suite) {
	list, err := s.c.Directory(s.ctx, s.dir)
	s.must(err)
	if len(list) != 0 {
		s.Fatalf("children of a new node: %q", list)
	}
	for _, n := range []string{"one", "two", "Three-3", "four_4"} {
		s.write(s.at(n, "below"), "")
	}
	list, err = s.c.Directory(s.ctx, s.dir)
	s.must(err)
	slices.Sort(list)
	if want := []string{"Three-3", "four_4", "one", "two"}; !slices.Equal(list, want) {
		s.Fatalf("children %q, want %q", list, want)
	}
}

// largeDirectory has a list of children of three replies.
func largeDirectory(s *suite) {
	s.need(s.priv, "privilege: a guest's node is limited to 2048 bytes")
	var want []string
	err := s.c.Transaction(s.ctx, func(tx *xenstore.Tx) error {
		want = want[:0]
		for i := range 300 {
			name := fmt.Sprintf("%04d-%s", i, strings.Repeat("n", i%60))
			want = append(want, name)
			if err := tx.Write(s.ctx, s.at(name), ""); err != nil {
				return err
			}
		}
		return nil
	})
	s.must(err)
	list, err := s.c.Directory(s.ctx, s.dir)
	if !s.target.Socket && errors.Is(err, xenstore.ErrNotSupported) {
		// No DIRECTORY_PART: oxenstored then has no way to give the list over
		// the device.
		s.wantErr(err, xenstore.ErrTooBig)
		s.Log(err)
		return
	}
	s.must(err)
	slices.Sort(list)
	if !slices.Equal(list, want) {
		s.Fatalf("%d children, want %d", len(list), len(want))
	}
}

func permissions(s *suite) {
	s.write(s.at("a"), "")
	before, err := s.c.GetPerms(s.ctx, s.at("a"))
	s.must(err)
	up, err := s.c.GetPerms(s.ctx, s.dir)
	s.must(err)
	if !slices.Equal(before, up) {
		s.Fatalf("a new node has %v, its parent %v", before, up)
	}
	owner := before[0].DomID
	for _, want := range [][]xenstore.Perm{
		{{DomID: owner, Access: xenstore.AccessNone}},
		{{DomID: owner, Access: xenstore.AccessRead}},
		{{DomID: owner, Access: xenstore.AccessWrite}},
		{{DomID: owner, Access: xenstore.AccessBoth}, {DomID: 0, Access: xenstore.AccessNone}},
	} {
		s.must(s.c.SetPerms(s.ctx, s.at("a"), want...))
		got, err := s.c.GetPerms(s.ctx, s.at("a"))
		s.must(err)
		if !slices.Equal(got, want) {
			s.Fatalf("permissions %v, want %v", got, want)
		}
	}
	// What is made below takes them over.
	s.write(s.at("a", "b"), "")
	got, err := s.c.GetPerms(s.ctx, s.at("a", "b"))
	s.must(err)
	if len(got) != 2 || got[0] != (xenstore.Perm{DomID: owner, Access: xenstore.AccessBoth}) {
		s.Fatalf("inherited %v", got)
	}
	s.wantErr(s.c.SetPerms(s.ctx, s.at("a")), xenstore.ErrInvalid)
}

func badPaths(s *suite) {
	for _, p := range []string{s.at("a") + "/", s.dir + "//a", s.at("a b"), s.at("a\n")} {
		if xenstore.ValidatePath(p) == nil {
			s.Errorf("ValidatePath takes %q", p)
		}
		s.wantErr(s.c.Write(s.ctx, p, ""), xenstore.ErrInvalid)
		_, err := s.c.Read(s.ctx, p)
		s.wantErr(err, xenstore.ErrInvalid)
	}
	// Refused before they reach the daemon: it would close the connection, or
	// see another path.
	for _, p := range []string{
		"", s.at("a\x00b"), "/" + strings.Repeat("x", xenstore.MaxAbsPath),
		strings.Repeat("x", xenstore.MaxRelPath+1),
	} {
		_, err := s.c.Read(s.ctx, p)
		s.wantErr(err, xenstore.ErrInvalid)
	}
	s.write(s.at("A-Z_a-z0@9"), "good")
	s.wantValue(s.at("A-Z_a-z0@9"), "good")
}

// relativePath: the daemons take them over the socket too, below domain 0's
// directory.
func relativePath(s *suite) {
	rel := strings.TrimPrefix(s.dir, "/") + "-relative"
	s.must(s.c.Write(s.ctx, rel, "here"))
	defer func() { s.must(s.c.Rm(s.ctx, rel)) }()
	s.wantValue(rel, "here")
	if s.priv {
		s.wantValue(xenstore.Join(xenstore.DomainPath(0), rel), "here")
	}
}

func domains(s *suite) {
	for _, id := range []uint16{0, 7, 32000} {
		p, err := s.c.GetDomainPath(s.ctx, id)
		s.must(err)
		if p != xenstore.DomainPath(id) {
			s.Fatalf("path of domain %d is %q", id, p)
		}
	}
	is, err := s.c.IsDomainIntroduced(s.ctx, 0)
	if !s.priv {
		s.wantErr(err, xenstore.ErrPermission)
		return
	}
	s.must(err)
	if !is {
		s.Error("domain 0 is not introduced")
	}
	is, err = s.c.IsDomainIntroduced(s.ctx, 32000)
	s.must(err)
	if is {
		s.Error("domain 32000 is introduced")
	}
}
