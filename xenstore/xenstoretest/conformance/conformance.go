// Package conformance holds what any xenstored must do and the client relies
// on, as tests: Run runs them against a daemon, real or not. They keep to one
// path of their own and remove it.
//
// The package's own test runs them against xenstoretest, and against the real
// daemon that the environment variable XENSTORE_CONFORMANCE names: the path of
// a socket, or "device".
package conformance

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xentropyd/xentropyd/xenstore"
)

// Target is a daemon to test.
type Target struct {
	// Dial connects as the domain that the tests run in.
	Dial xenstore.DialFunc
	// Socket says that Dial gives a connection of the daemon's own, not the
	// kernel's device, which answers some requests by itself.
	Socket bool
	// Domain connects as another domain that is there; nil when the tests
	// cannot do that.
	Domain func(domid uint16) xenstore.DialFunc
	// Introduce and Release make a domain come and go; nil when the tests
	// cannot do that.
	Introduce, Release func(domid uint16)
}

// patience bounds each test: long for a loaded machine, nothing waits for it
// when all is well.
const patience = 60 * time.Second

var serial atomic.Uint32

// suite is the state of one test.
type suite struct {
	*testing.T
	ctx    context.Context
	target Target
	c      *xenstore.Client
	dir    string // the test's own, absolute or relative
	priv   bool   // the domain may write anywhere
}

// Run runs all tests against a daemon.
func Run(t *testing.T, target Target) {
	for _, test := range []struct {
		name string
		f    func(*suite)
	}{
		{"Values", values},
		{"LargeValue", largeValue},
		{"Missing", missing},
		{"Mkdir", mkdir},
		{"Remove", remove},
		{"Directory", directory},
		{"LargeDirectory", largeDirectory},
		{"Permissions", permissions},
		{"BadPaths", badPaths},
		{"RelativePath", relativePath},
		{"Domains", domains},
		{"WatchFires", watchFires},
		{"WatchTree", watchTree},
		{"WatchRemoved", watchRemoved},
		{"WatchesApart", watchesApart},
		{"WatchSpecial", watchSpecial},
		{"WatchDomains", watchDomains},
		{"Commit", commit},
		{"Abort", abort},
		{"Conflict", conflict},
		{"NoConflict", noConflict},
		{"ConflictWithAbsence", conflictWithAbsence},
		{"Counter", counter},
		{"CommitEvents", commitEvents},
		{"ManyRequests", manyRequests},
		{"WireErrors", wireErrors},
		{"WirePipelined", wirePipelined},
		{"WireWatch", wireWatch},
		{"WireTransaction", wireTransaction},
		{"WireOverlong", wireOverlong},
		{"GuestPermissions", guestPermissions},
		{"GuestOwnership", guestOwnership},
		{"GuestNodeQuota", guestNodeQuota},
		{"GuestNodeSize", guestNodeSize},
		{"GuestWatchQuota", guestWatchQuota},
		{"GuestTransactionQuota", guestTransactionQuota},
		{"GuestPrivileges", guestPrivileges},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			s := &suite{T: t, ctx: ctx, target: target}
			s.c = s.dial(target.Dial)
			s.makeDir()
			test.f(s)
		})
	}
}

// dial makes a client that ends with the test.
func (s *suite) dial(d xenstore.DialFunc) *xenstore.Client {
	s.Helper()
	c, err := xenstore.Dial(s.ctx, d)
	s.must(err)
	s.Cleanup(func() { _ = c.Close() })
	return c
}

// makeDir makes the test's own directory: below the root, or in a guest's own
// data directory.
func (s *suite) makeDir() {
	s.Helper()
	name := fmt.Sprintf("xenstore-conformance-%d-%d", os.Getpid(), serial.Add(1))
	s.dir, s.priv = "/"+name, true
	err := s.c.Mkdir(s.ctx, s.dir)
	if err != nil {
		s.dir, s.priv = "data/"+name, false
		err = s.c.Mkdir(s.ctx, s.dir)
	}
	s.must(err)
	s.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		c, err := xenstore.Dial(ctx, s.target.Dial)
		if err == nil {
			err = c.Rm(ctx, s.dir)
			_ = c.Close()
		}
		if err != nil {
			s.Errorf("%s stays in the store: %v", s.dir, err)
		}
	})
}

func (s *suite) at(names ...string) string { return xenstore.Join(s.dir, names...) }

func (s *suite) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *suite) write(path, value string) {
	s.Helper()
	s.must(s.c.Write(s.ctx, path, value))
}

func (s *suite) wantValue(path, want string) {
	s.Helper()
	got, err := s.c.Read(s.ctx, path)
	s.must(err)
	if got != want {
		s.Fatalf("%s is %q, want %q", path, got, want)
	}
}

func (s *suite) need(have bool, what string) {
	if !have {
		s.Skip("this target has no " + what)
	}
}
