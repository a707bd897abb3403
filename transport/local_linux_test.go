package transport

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/internal/proc"
	"github.com/xentropyd/xentropyd/vchan/local"
)

// noLeaks checks at the test's end that goroutines and descriptors are as many as before.
func noLeaks(t *testing.T) {
	look := func() (goroutines int, fds []string) {
		list, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		for _, fd := range list {
			if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil {
				fds = append(fds, fd.Name()+" "+to)
			}
		}
		return runtime.NumGoroutine(), fds
	}
	g, fds := look()
	t.Cleanup(func() {
		for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			g2, fds2 := look()
			if g2 <= g && len(fds2) <= len(fds) {
				return
			}
			if time.Now().After(deadline) {
				stacks := make([]byte, 1<<16)
				t.Errorf("left: %d goroutines, before %d; descriptors %q, before %q\n%s", g2, g, fds2, fds, stacks[:runtime.Stack(stacks, true)])
				return
			}
		}
	})
}

func TestLocal(t *testing.T) {
	noLeaks(t)
	path := filepath.Join(t.TempDir(), "made", "a.sock")
	address := "local:" + path
	l, err := Listen(address, ListenOptions{})
	require.NoError(t, err)
	assert.Equal(t, address, l.Address().String())
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, fs.FileMode(0o660), info.Mode().Perm())

	_, err = Listen(address, ListenOptions{})
	assert.ErrorIs(t, err, ErrInUse)
	assert.ErrorContains(t, err, address)

	type accepted struct {
		c    Conn
		peer Peer
		err  error
	}
	came := make(chan accepted, 1)
	go func() {
		c, p, err := l.Accept()
		came <- accepted{c, p, err}
	}()
	guest, err := Dial(t.Context(), address)
	require.NoError(t, err)
	a := <-came
	require.NoError(t, a.err)

	assert.Equal(t, ownID(t), a.peer.ID)
	assert.True(t, strings.HasPrefix(a.peer.Group, fmt.Sprintf("uid %d", os.Getuid())), a.peer.Group)
	comm, err := os.ReadFile("/proc/self/comm")
	require.NoError(t, err)
	assert.Equal(t, strings.TrimSpace(string(comm)), a.peer.Name)
	assert.Equal(t, "local", a.peer.Carrier)

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

	_, err = Dial(t.Context(), address)
	assert.ErrorContains(t, err, "dial "+address)
}

func TestLocalMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.sock")
	l, err := Listen("local:"+path, ListenOptions{Mode: 0o600})
	require.NoError(t, err)
	defer l.Close()
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
}

func TestDialHonoursContext(t *testing.T) {
	noLeaks(t)
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
		case <-time.After(10 * time.Second): // then the close lets a Dial return that does not heed its context, and the test fails
		}
	}()
	_, err = Dial(ctx, "local:"+path)
	close(returned)
	assert.ErrorIs(t, err, context.Canceled)
}

// A user who may not be a guest is told so, and so is the host.
func TestRefusedIsTold(t *testing.T) {
	noLeaks(t)
	address := "local:" + filepath.Join(t.TempDir(), "a.sock")
	told := make(chan Peer, 1)
	asked := make(chan []uint32, 1)
	l, err := Listen(address, ListenOptions{
		Allow: func(uid uint32, gids []uint32) bool {
			assert.EqualValues(t, os.Getuid(), uid)
			asked <- gids
			return false
		},
		Refused: func(p Peer, err error) {
			assert.ErrorIs(t, err, local.ErrNotAllowed)
			told <- p
		},
	})
	require.NoError(t, err)
	done := make(chan struct{})
	go func() { defer close(done); _, _, _ = l.Accept() }()
	_, err = Dial(t.Context(), address)
	require.ErrorContains(t, err, "may not be a guest")
	assert.Contains(t, <-asked, uint32(os.Getgid()))
	assert.Equal(t, ownID(t), (<-told).ID)
	require.NoError(t, l.Close())
	<-done
}

// ownID is this process's ID as a peer: its number alone could be another's tomorrow.
func ownID(t *testing.T) string {
	t.Helper()
	start, err := proc.Start(os.Getpid())
	require.NoError(t, err)
	return fmt.Sprintf("local:%d/%d@%d", os.Getuid(), os.Getpid(), start)
}

func TestStrangersAreNotTakenForOneAnother(t *testing.T) {
	a, b := localPeer(local.Peer{PID: 0, UID: 1}), localPeer(local.Peer{PID: 0, UID: 1})
	require.NotEqual(t, a.ID, b.ID)
	require.Equal(t, a.Group, b.Group)
}
