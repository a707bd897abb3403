package xenstoretest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/internal/leaktest"

	"github.com/xentropyd/xentropyd/xenstore"
	"github.com/xentropyd/xentropyd/xenstore/xenstoretest"
)

const (
	waitFor = 30 * time.Second
	tick    = time.Millisecond
)

func dial(t *testing.T, s *xenstoretest.Server, domid uint16) *xenstore.Client {
	t.Helper()
	c, err := xenstore.Dial(t.Context(), s.Dialer(domid))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

func TestDomains(t *testing.T) {
	s := xenstoretest.NewServer()
	defer s.Close()
	_, err := s.Dialer(3)(t.Context())
	require.Error(t, err, "a domain that is not introduced cannot connect")
	s.AddDomain(3, "three")
	c := dial(t, s, 3)
	name, err := c.Read(t.Context(), "name")
	require.NoError(t, err)
	require.Equal(t, "three", name)
	require.ErrorIs(t, c.Write(t.Context(), "name", "other"), xenstore.ErrPermission)
	require.NoError(t, c.Write(t.Context(), "data/mine", "1"))
	require.Equal(t, "1", s.Dump()["/local/domain/3/data/mine"])
	s.RemoveDomain(3)
	require.Eventually(t, func() bool { return c.Err() != nil }, waitFor, tick)
	for p := range s.Dump() {
		require.NotContains(t, p, "/local/domain/3")
	}
	// The same number again owns nothing of before.
	s.AddDomain(3, "three")
	c = dial(t, s, 3)
	_, err = c.Read(t.Context(), "data/mine")
	require.ErrorIs(t, err, xenstore.ErrNotFound)
}

// TestOwner: a domain owns what it makes, also below what it may only write.
// (oxenstored keeps the parent's owner.)
func TestOwner(t *testing.T) {
	s := xenstoretest.NewServer()
	defer s.Close()
	s.AddDomain(3, "three")
	s.Write("/open", "", xenstore.Perm{DomID: 0, Access: xenstore.AccessBoth})
	require.NoError(t, dial(t, s, 3).Write(t.Context(), "/open/a", ""))
	c := dial(t, s, 0)
	perms, err := c.GetPerms(t.Context(), "/open/a")
	require.NoError(t, err)
	require.Equal(t, []xenstore.Perm{{DomID: 3, Access: xenstore.AccessBoth}}, perms)
	// One that may write a node may not change its permissions for that.
	require.ErrorIs(t, dial(t, s, 3).SetPerms(t.Context(), "/open",
		xenstore.Perm{DomID: 0, Access: xenstore.AccessRead}), xenstore.ErrPermission)
}

// TestManyDomains: a list of more domains than fit one reply, come in parts.
func TestManyDomains(t *testing.T) {
	s := xenstoretest.NewServer()
	defer s.Close()
	c := dial(t, s, 0)
	for i := range 1100 {
		s.AddDomain(uint16(i+1), fmt.Sprint("guest-", i))
	}
	list, err := c.Directory(t.Context(), "/local/domain")
	require.NoError(t, err)
	require.Len(t, list, 1101)
}

func TestFaults(t *testing.T) {
	s := xenstoretest.NewServer()
	defer s.Close()
	c := dial(t, s, 0)
	var seen xenstoretest.Request
	s.SetFault(func(r xenstoretest.Request) xenstoretest.Fault {
		seen = r
		return xenstoretest.Fault{Error: "EIO"}
	})
	_, err := c.Read(t.Context(), "/a/b")
	var e *xenstore.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, "EIO", e.Name)
	require.Equal(t, "READ", seen.Op)
	require.Equal(t, "/a/b", seen.Path)
	s.SetFault(func(xenstoretest.Request) xenstoretest.Fault {
		return xenstoretest.Fault{Raw: []byte("this is no reply, and a long one at that")}
	})
	_, err = c.Read(t.Context(), "/a")
	var bad *xenstore.ProtocolError
	require.ErrorAs(t, err, &bad)
	s.SetFault(nil)
	c = dial(t, s, 0)
	s.DropAll()
	_, err = c.Read(t.Context(), "/a")
	require.ErrorIs(t, err, xenstore.ErrDisconnected)
}

// TestDeafClient: a client that does not read is cut off in the end, and holds
// nobody up.
func TestDeafClient(t *testing.T) {
	s := xenstoretest.NewServer()
	defer s.Close()
	rwc, err := s.Dialer(0)(t.Context())
	require.NoError(t, err)
	defer rwc.Close()
	_, err = rwc.Write(record(4, 1, 0, "/w\x00t\x00"))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return s.Watches(0) == 1 }, waitFor, tick)
	for range 1<<14 + 10 {
		s.Fire("/w")
	}
	c := dial(t, s, 0)
	require.NoError(t, c.Write(t.Context(), "/w", "1"))
	require.Eventually(t, func() bool { return s.Watches(0) == 0 }, waitFor, tick)
	require.Equal(t, 1, s.Conns())
}

func TestCloseEndsAll(t *testing.T) {
	leaktest.Check(t)
	s := xenstoretest.NewServer()
	socket := filepath.Join(t.TempDir(), "socket")
	require.NoError(t, s.ListenUnix(socket, 0))
	hold := make(chan struct{})
	s.SetFault(func(xenstoretest.Request) xenstoretest.Fault { return xenstoretest.Fault{Hold: hold} })
	c, err := xenstore.Open(t.Context(), xenstore.WithAddress(socket))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = c.Read(ctx, "/a")
	require.ErrorIs(t, err, context.Canceled)
	failed := make(chan error, 1)
	go func() {
		_, err := c.Read(t.Context(), "/a")
		failed <- err
	}()
	require.Eventually(t, func() bool { return s.Conns() == 1 }, waitFor, tick)
	require.NoError(t, s.Close())
	err = <-failed
	require.ErrorIs(t, err, xenstore.ErrDisconnected)
	require.True(t, errors.Is(err, io.EOF) || err != nil)
	require.NoError(t, c.Close())
	require.NoError(t, s.Close())
	require.ErrorContains(t, s.ListenUnix(socket, 0), "closed")
	_, err = s.Dialer(0)(t.Context())
	require.Error(t, err)
}
