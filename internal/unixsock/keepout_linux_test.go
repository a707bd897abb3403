package unixsock

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/xentropyd/xentropyd/internal/othertest"
)

const (
	flooder = 12345
	other   = 12346
)

// open lets every user reach the files of a test.
func openDir(t *testing.T) string {
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o755))
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755))
	return dir
}

func connectAs(t *testing.T, uid int, path string) (err error) {
	othertest.As(t, uid, uid, func() {
		var c net.Conn
		if c, err = net.Dial("unix", path); err == nil {
			_ = c.Close()
		}
	})
	return err
}

func TestKeepOut(t *testing.T) {
	path := filepath.Join(openDir(t), "s")
	l, f, err := Listen(path, 0o660, nil)
	require.NoError(t, err)
	defer l.Close()
	require.NoError(t, os.Chmod(path, 0o666)) // the administrator's mode stays
	require.NoError(t, connectAs(t, flooder, path))
	if !f.KeepOut(flooder) {
		t.Skip("the temporary directory's file system has no access control lists: set TMPDIR to one that has")
	}
	require.ErrorIs(t, connectAs(t, flooder, path), unix.EACCES)
	require.NoError(t, connectAs(t, other, path), "nobody else")
	require.True(t, f.KeepOut(other))
	require.Eventually(t, func() bool { return errors.Is(connectAs(t, other, path), unix.EACCES) },
		time.Minute, time.Millisecond)
	require.ErrorIs(t, connectAs(t, flooder, path), unix.EACCES)

	over := func(uid uint32) {
		f.keeper.mu.Lock()
		f.keeper.out[uid] = time.Now()
		f.keeper.mu.Unlock()
		f.lift()
	}
	over(flooder)
	require.NoError(t, connectAs(t, flooder, path))
	require.ErrorIs(t, connectAs(t, other, path), unix.EACCES)
	over(other)
	require.NoError(t, connectAs(t, other, path))
	require.False(t, f.listed(), "nothing is left")
	st, err := os.Lstat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o666), st.Mode().Perm())
	require.NoError(t, f.Remove())
}

func TestKeepOutIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, f, err := Listen(path, 0o660, nil)
	require.NoError(t, err)
	defer l.Close()
	require.False(t, f.KeepOut(0), "root is kept out by no list")
	if !f.KeepOut(1000) {
		t.Skip("the temporary directory's file system has no access control lists: set TMPDIR to one that has")
	}
	n := 1
	for f.KeepOut(2000 + uint32(n)) {
		n++
	}
	require.LessOrEqual(t, n, maxKeptOut)
	written := func() int {
		f.keeper.mu.Lock()
		defer f.keeper.mu.Unlock()
		if len(f.keeper.fresh) > 0 {
			return 0
		}
		return len(f.keeper.out)
	}
	require.Eventually(t, func() bool { return written() > 0 }, time.Minute, time.Millisecond)
	require.LessOrEqual(t, written(), n)
	require.Greater(t, written(), 30, "what the file system bears")
	require.True(t, f.listed())
	require.NoError(t, f.Remove())
	require.False(t, f.KeepOut(1000), "after the end")
}

// A list of the administrator's is left alone.
func TestKeepOutLeavesListsAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, f, err := Listen(path, 0o660, nil)
	require.NoError(t, err)
	defer l.Close()
	if err := unix.Lsetxattr(path, aclName, encodeACL(0o660, []uint32{77}), 0); err != nil {
		t.Skip("the temporary directory's file system has no access control lists: set TMPDIR to one that has")
	}
	require.False(t, f.KeepOut(1000))
	require.True(t, f.listed())
}

// What the administrator does to the file meanwhile stays: a mode, and a list.
func TestKeepOutLeavesTheAdministratorsChanges(t *testing.T) {
	path := filepath.Join(openDir(t), "s")
	l, f, err := Listen(path, 0o666, nil)
	require.NoError(t, err)
	defer l.Close()
	if !f.KeepOut(flooder) {
		t.Skip("the temporary directory's file system has no access control lists: set TMPDIR to one that has")
	}
	mode := func() os.FileMode {
		st, err := os.Lstat(path)
		require.NoError(t, err)
		return st.Mode().Perm()
	}
	require.NoError(t, os.Chmod(path, 0o600))
	require.True(t, f.KeepOut(other))
	keeps := func() bool {
		f.keeper.mu.Lock()
		defer f.keeper.mu.Unlock()
		return len(f.keeper.fresh) == 0
	}
	require.Eventually(t, keeps, time.Minute, time.Millisecond)
	require.Equal(t, os.FileMode(0o600), mode())
	over := func() {
		f.keeper.mu.Lock()
		for uid := range f.keeper.out {
			f.keeper.out[uid] = time.Now()
		}
		f.keeper.mu.Unlock()
		f.lift()
	}
	over()
	require.False(t, f.listed())
	require.Equal(t, os.FileMode(0o600), mode())

	require.True(t, f.KeepOut(flooder))
	own := encodeACL(0o640, []uint32{7, 8, 9})
	require.NoError(t, unix.Lsetxattr(path, aclName, own, 0))
	over()
	require.False(t, f.KeepOut(other))
	have := make([]byte, 200)
	n, err := unix.Lgetxattr(path, aclName, have)
	require.NoError(t, err)
	require.Equal(t, own, have[:n])
}

// The bytes are those that setfacl(1) writes for
// "u::rw-,u:7:---,g::rw-,m::rw-,o::---".
func TestACLBytes(t *testing.T) {
	require.Equal(t, "\x02\x00\x00\x00"+
		"\x01\x00\x06\x00\xff\xff\xff\xff"+
		"\x02\x00\x00\x00\x07\x00\x00\x00"+
		"\x04\x00\x06\x00\xff\xff\xff\xff"+
		"\x10\x00\x06\x00\xff\xff\xff\xff"+
		"\x20\x00\x00\x00\xff\xff\xff\xff", string(encodeACL(0o660, []uint32{7})))
}
