package local

import (
	"context"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/xentropyd/xentropyd/vchan/ring"
)

func TestSocketFile(t *testing.T) {
	leaveNothing(t)
	path := filepath.Join(t.TempDir(), "s")
	l, err := Listen(path, ListenOptions{})
	require.NoError(t, err)
	require.Equal(t, path, l.Addr().String())
	st, err := os.Lstat(path)
	require.NoError(t, err)
	require.Equal(t, fs.ModeSocket|0o660, st.Mode())

	_, err = Listen(path, ListenOptions{})
	require.ErrorIs(t, err, ErrInUse)
	require.NoError(t, l.Close())
	require.ErrorIs(t, l.Close(), net.ErrClosed)
	require.NoFileExists(t, path)

	l, err = Listen(path, ListenOptions{Mode: 0o600})
	require.NoError(t, err)
	st, err = os.Lstat(path)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), st.Mode().Perm())

	// Another host's file is not removed.
	require.NoError(t, os.Remove(path))
	l2, err := Listen(path, ListenOptions{})
	require.NoError(t, err)
	require.NoError(t, l.Close())
	require.FileExists(t, path)
	require.NoError(t, l2.Close())
}

func TestStaleSocketIsReplaced(t *testing.T) {
	leaveNothing(t)
	path := filepath.Join(t.TempDir(), "s")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	require.NoError(t, unix.Bind(fd, &unix.SockaddrUnix{Name: path}))
	require.NoError(t, unix.Close(fd))
	l, err := Listen(path, ListenOptions{})
	require.NoError(t, err)
	require.NoError(t, l.Close())
}

func TestListenRefuses(t *testing.T) {
	leaveNothing(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, []byte("precious"), 0o600))
	for path, why := range map[string]string{
		file:                            "not a socket",
		filepath.Join(dir, "no", "s"):   "create it",
		"/" + strings.Repeat("x", 107):  "use a shorter one",
		filepath.Join(file, "s"):        "directory",
		filepath.Join(dir, "streaming"): ErrInUse.Error(),
	} {
		if strings.HasSuffix(path, "streaming") {
			other, err := net.Listen("unix", path)
			require.NoError(t, err)
			defer func() { _ = other.Close() }()
		}
		_, err := Listen(path, ListenOptions{})
		require.ErrorContains(t, err, why)
	}
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "precious", string(b))
}

func TestOfferFails(t *testing.T) {
	leaveNothing(t)
	dir := t.TempDir()
	_, err := Offer(context.Background(), filepath.Join(dir, "s"), OfferOptions{})
	require.ErrorContains(t, err, "no host listens")
	_, err = Offer(context.Background(), filepath.Join(dir, "s"), OfferOptions{Orders: ring.Orders{Left: 9, Right: 9}})
	require.ErrorIs(t, err, ring.ErrLayout)

	l := listenAt(t, ListenOptions{MaxOrder: 12})
	_, err = Offer(context.Background(), l.path, OfferOptions{Orders: ring.Orders{Left: 13, Right: 10}})
	var re *RefusedError
	require.ErrorAs(t, err, &re)
	require.False(t, re.Busy)

	// A host that never answers, or answers nonsense, or hangs up.
	silent, err := net.ListenUnix(network, &net.UnixAddr{Name: filepath.Join(dir, "silent"), Net: network})
	require.NoError(t, err)
	defer func() { _ = silent.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
	defer cancel()
	_, err = Offer(ctx, filepath.Join(dir, "silent"), OfferOptions{})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	c, err := silent.Accept()
	require.NoError(t, err)
	_ = c.Close()
	for _, answer := range []string{"", "nonsense", string(encodeAnswer(9, ""))} {
		go func() {
			c, err := silent.Accept()
			if err != nil {
				return
			}
			b := make([]byte, 100)
			_, _ = c.Read(b)
			if answer != "" {
				_, _ = c.Write([]byte(answer))
			}
			_ = c.Close()
		}()
		_, err = Offer(context.Background(), filepath.Join(dir, "silent"), OfferOptions{})
		require.Error(t, err)
		require.NotErrorIs(t, err, ring.ErrLayout)
	}
}
