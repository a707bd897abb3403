package unixsock

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestSocketFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	prepared := false
	l, f, err := Listen(path, 0o640, func(fd int) {
		prepared = true
		st, err := os.Lstat(path)
		require.NoError(t, err)
		require.Equal(t, fs.ModeSocket|0o640, st.Mode(), "before anybody can connect")
		_, err = net.Dial("unix", path)
		require.ErrorIs(t, err, unix.ECONNREFUSED)
	})
	require.NoError(t, err)
	require.True(t, prepared)
	_, _, err = Listen(path, 0o640, nil)
	require.ErrorIs(t, err, ErrInUse)
	require.NoError(t, f.Remove())
	require.NoFileExists(t, path)
	require.NoError(t, l.Close())

	// Another process's file is not removed.
	l2, f2, err := Listen(path, 0o600, nil)
	require.NoError(t, err)
	defer l2.Close()
	require.NoError(t, f.Remove())
	require.FileExists(t, path)
	require.NoError(t, f2.Remove())
}

func TestStaleSocketIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	require.NoError(t, unix.Bind(fd, &unix.SockaddrUnix{Name: path}))
	require.NoError(t, unix.Close(fd))
	l, _, err := Listen(path, 0o660, nil)
	require.NoError(t, err)
	require.NoError(t, l.Close())
}

// TestReadOnlyFileSystem needs root, who may mount.
func TestReadOnlyFileSystem(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_RDONLY, ""); err != nil {
		t.Skipf("mount a read-only file system: %v; run sudo go test ./internal/unixsock", err)
	}
	defer func() { require.NoError(t, unix.Unmount(dir, 0)) }()
	path := filepath.Join(dir, "s")
	_, _, err := Listen(path, 0o660, nil)
	require.ErrorIs(t, err, unix.EROFS)
	require.ErrorContains(t, err, path)
}

func TestListenRefuses(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, []byte("precious"), 0o600))
	other, err := net.Listen("unixpacket", filepath.Join(dir, "packets"))
	require.NoError(t, err)
	defer other.Close()
	for path, why := range map[string]string{
		file:                           "is no socket",
		filepath.Join(dir, "no", "s"):  "create it",
		"/" + strings.Repeat("x", 107): "use a shorter one",
		filepath.Join(file, "s"):       "directory",
		filepath.Join(dir, "packets"):  ErrInUse.Error(),
	} {
		_, _, err := Listen(path, 0o660, nil)
		require.ErrorContains(t, err, why)
		if !strings.Contains(err.Error(), "directory") {
			require.ErrorContains(t, err, path)
		}
	}
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "precious", string(b))
}
