package all

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/internal/leaktest"
	"github.com/xentropyd/xentropyd/internal/proc"
	"github.com/xentropyd/xentropyd/internal/unixsock"
	"github.com/xentropyd/xentropyd/transport"
)

func TestOnThisMachine(t *testing.T) {
	for _, scheme := range []string{"local", "unix"} {
		t.Run(scheme, func(t *testing.T) { testOnThisMachine(t, scheme) })
	}
}

func testOnThisMachine(t *testing.T, scheme string) {
	leaktest.Check(t)
	path := filepath.Join(t.TempDir(), "made", "a.sock")
	address := scheme + ":" + path
	l, err := Carriers.Listen(address, transport.DefaultListenOptions())
	require.NoError(t, err)
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, fs.FileMode(0o660), info.Mode().Perm())

	_, err = Carriers.Listen(address, transport.DefaultListenOptions())
	assert.ErrorIs(t, err, unixsock.ErrInUse)
	assert.ErrorContains(t, err, address)

	type accepted struct {
		c    transport.Conn
		peer transport.Peer
		err  error
	}
	came := make(chan accepted, 1)
	go func() {
		c, p, err := l.Accept()
		came <- accepted{c, p, err}
	}()
	guest, err := Carriers.Dial(t.Context(), address)
	require.NoError(t, err)
	a := <-came
	require.NoError(t, a.err)

	assert.Equal(t, ownID(t, scheme), a.peer.ID)
	assert.True(t, strings.HasPrefix(a.peer.Group, fmt.Sprintf("uid %d", os.Getuid())), a.peer.Group)
	comm, err := os.ReadFile("/proc/self/comm")
	require.NoError(t, err)
	assert.Equal(t, strings.TrimSpace(string(comm)), a.peer.Name)
	assert.Equal(t, scheme, a.peer.Carrier)
	assert.True(t, a.peer.OwnName)
	assert.Equal(t, os.Getuid() == 0, a.peer.First)

	sent := make(chan error, 1)
	go func() { _, err := guest.Write([]byte("hello")); sent <- err }()
	buf := make([]byte, 5)
	_, err = io.ReadFull(a.c, buf)
	require.NoError(t, err)
	require.NoError(t, <-sent)
	assert.Equal(t, "hello", string(buf))

	require.NoError(t, a.c.SetReadDeadline(time.Unix(1, 0)))
	_, err = a.c.Read(buf)
	assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.NoError(t, a.c.SetReadDeadline(time.Time{}))

	require.NoError(t, guest.Close())
	_, err = a.c.Read(buf)
	assert.ErrorIs(t, err, io.EOF)
	require.NoError(t, a.c.Close())

	require.NoError(t, l.Close())
	_, _, err = l.Accept()
	assert.ErrorIs(t, err, net.ErrClosed)
	_, err = os.Stat(path)
	assert.ErrorIs(t, err, fs.ErrNotExist, "the socket is removed")

	_, err = Carriers.Dial(t.Context(), address)
	assert.ErrorContains(t, err, "dial "+address)
}

func TestLocalMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.sock")
	o := transport.DefaultListenOptions()
	o.Mode = 0o600
	l, err := Carriers.Listen("local:"+path, o)
	require.NoError(t, err)
	defer l.Close()
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
}

func TestDialHonoursContext(t *testing.T) {
	leaktest.Check(t)
	path := filepath.Join(t.TempDir(), "a.sock")
	l, err := net.Listen("unix", path) // takes the connection and says nothing
	require.NoError(t, err)
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	returned := make(chan struct{})
	go func() {
		c, err := l.Accept()
		if err == nil {
			defer c.Close()
		}
		cancel()
		select {
		case <-returned:
		// then the close lets a Dial return that does not heed its context, and
		// the test fails
		case <-time.After(10 * time.Second):
		}
	}()
	_, err = Carriers.Dial(ctx, "local:"+path)
	close(returned)
	assert.ErrorIs(t, err, context.Canceled)
}

// A user who may not be a guest is told so, and so is the host.
func TestRefusedIsTold(t *testing.T) {
	leaktest.Check(t)
	address := "local:" + filepath.Join(t.TempDir(), "a.sock")
	told := make(chan transport.Peer, 1)
	asked := make(chan []uint32, 1)
	o := transport.DefaultListenOptions()
	o.Allow = func(uid uint32, gids []uint32) bool {
		assert.EqualValues(t, os.Getuid(), uid)
		asked <- gids
		return false
	}
	o.Refused = func(p transport.Peer, err error) {
		assert.ErrorContains(t, err, "may not be a guest")
		told <- p
	}
	l, err := Carriers.Listen(address, o)
	require.NoError(t, err)
	done := make(chan struct{})
	go func() { defer close(done); _, _, _ = l.Accept() }()
	_, err = Carriers.Dial(t.Context(), address)
	require.ErrorContains(t, err, "may not be a guest")
	assert.Contains(t, <-asked, uint32(os.Getgid()))
	assert.Equal(t, ownID(t, "local"), (<-told).ID)
	require.NoError(t, l.Close())
	<-done
}

// ownID is this process's ID as a peer: its number alone could be another's
// tomorrow.
func ownID(t *testing.T, scheme string) string {
	t.Helper()
	start, err := proc.Start(os.Getpid())
	require.NoError(t, err)
	return fmt.Sprintf("%s:%d/%d@%d", scheme, os.Getuid(), os.Getpid(), start)
}
