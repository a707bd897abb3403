package seedfile

import (
	"bytes"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestPermissions(t *testing.T) {
	for mode, ok := range map[fs.FileMode]bool{
		0o600: true, 0o400: true, 0o640: false, 0o620: false, 0o610: false, 0o604: false, 0o602: false, 0o601: false,
	} {
		path := filepath.Join(t.TempDir(), "seed")
		require.NoError(t, os.WriteFile(path, seedOf(1), 0o600))
		require.NoError(t, os.Chmod(path, mode))
		_, err := mustOpen(t, path).Load()
		if ok {
			assert.NoError(t, err, "%o", mode)
		} else {
			assert.ErrorIs(t, err, ErrPermissions, "%o", mode)
		}
	}
}

func TestOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file away: run as root, for instance with go test -exec sudo")
	}
	path := filepath.Join(t.TempDir(), "seed")
	require.NoError(t, os.WriteFile(path, seedOf(1), 0o600))
	require.NoError(t, os.Chown(path, 65534, 65534))
	_, err := mustOpen(t, path).Load()
	assert.ErrorIs(t, err, ErrOwner)
}

func TestNotRegular(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(dir, "target")
	require.NoError(t, os.WriteFile(target, seedOf(1), 0o600))
	link := filepath.Join(dir, "link")
	require.NoError(t, os.Symlink(target, link))
	f := mustOpen(t, link)
	_, err := f.Load()
	assert.ErrorIs(t, err, ErrNotRegular)
	assert.ErrorIs(t, f.Store(seedOf(2)), ErrNotRegular)
	b, err := os.ReadFile(target)
	require.NoError(t, err)
	assert.Equal(t, seedOf(1), b, "what the link points at stays")
	_, err = os.Readlink(link)
	assert.NoError(t, err, "and the link")

	fifo := filepath.Join(dir, "fifo")
	require.NoError(t, syscall.Mkfifo(fifo, 0o600))
	f = mustOpen(t, fifo)
	_, err = f.Load() // and does not hang
	assert.ErrorIs(t, err, ErrNotRegular)
	assert.ErrorIs(t, f.Store(seedOf(2)), ErrNotRegular)

	socket := filepath.Join(dir, "socket")
	l, err := net.Listen("unix", socket)
	require.NoError(t, err)
	defer l.Close()
	f = mustOpen(t, socket)
	_, err = f.Load()
	assert.ErrorIs(t, err, ErrNotRegular)
	err = f.Store(seedOf(2))
	assert.ErrorIs(t, err, ErrNotRegular)
	assert.ErrorContains(t, err, "it is no seed and left alone: remove it or name another file")
	c, err := net.Dial("unix", socket)
	require.NoError(t, err, "the socket is there as before")
	c.Close()
}

// A seed that must not be used, and is one, is replaced; what is too open and
// no seed is left alone all the same.
func TestTooOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seed")
	for size, replaced := range map[int]bool{Size - 1: false, Size: true, Size + 1: false} {
		content := bytes.Repeat([]byte{1}, size)
		require.NoError(t, os.WriteFile(path, content, 0o600))
		require.NoError(t, os.Chmod(path, 0o644))
		f, err := Open(path)
		require.NoError(t, err)
		_, err = f.Load()
		require.Error(t, err)
		if replaced {
			assert.ErrorIs(t, err, ErrPermissions)
			assert.ErrorContains(t, err, "mode 0644 instead of 0600): a new one will be written")
			assert.NoError(t, f.Store(seedOf(2)))
			content = seedOf(2)
		} else {
			assert.ErrorIs(t, err, ErrSize)
			assert.ErrorContains(t, err, "left alone")
			assert.ErrorIs(t, f.Store(seedOf(2)), ErrSize)
		}
		got, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.Equal(t, content, got)
		require.NoError(t, f.Close())
	}
}

// What has the lock's name and is none is not written over: one byte below and
// above what a lock can have.
func TestLockOfAnotherKind(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "seed")
	lock := path + ".lock"
	require.NoError(t, os.WriteFile(lock, bytes.Repeat([]byte("7"), maxLock), 0o600))
	f, err := Open(path)
	require.NoError(t, err)
	require.NoError(t, f.Store(seedOf(1)))
	require.NoError(t, f.Close())

	precious := bytes.Repeat([]byte("7"), maxLock+1)
	require.NoError(t, os.WriteFile(lock, precious, 0o600))
	f = mustOpen(t, path)
	assert.ErrorContains(t, f.Store(seedOf(2)), lock+" is there and is no seed file's lock")
	got, err := os.ReadFile(lock)
	require.NoError(t, err)
	assert.Equal(t, precious, got)
	require.NoError(t, os.Remove(lock))
	require.NoError(t, unix.Mkfifo(lock, 0o600))
	assert.ErrorContains(t, f.Store(seedOf(2)), "no seed file's lock")
	require.NoError(t, os.Remove(lock))
	assert.NoError(t, f.Store(seedOf(2)))
}

// A link in the temporary file's place is removed, not followed.
func TestTemporaryIsALink(t *testing.T) {
	dir := t.TempDir()
	path, victim := filepath.Join(dir, "seed"), filepath.Join(dir, "victim")
	f := mustOpen(t, path)
	require.NoError(t, os.WriteFile(victim, []byte("precious"), 0o600))
	require.NoError(t, os.Symlink(victim, path+".new"))
	require.NoError(t, f.Store(seedOf(1)))
	b, err := os.ReadFile(victim)
	require.NoError(t, err)
	assert.Equal(t, "precious", string(b))
}

func TestUmask(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seed")
	f := mustOpen(t, path)
	old := syscall.Umask(0o777)
	err := f.Store(seedOf(1))
	syscall.Umask(old)
	require.NoError(t, err)
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.EqualValues(t, 0o600, info.Mode().Perm())
}

func TestNoDescriptorLeaks(t *testing.T) {
	count := func() int { return len(names(t, "/proc/self/fd")) }
	dir := t.TempDir()
	before := count()
	for range 50 {
		f, err := Open(filepath.Join(dir, "seed"))
		require.NoError(t, err)
		require.NoError(t, f.Store(randomSeed(t)))
		_, err = f.Load()
		require.NoError(t, err)
		_, err = Open(filepath.Join(dir, "seed"))
		require.ErrorIs(t, err, ErrInUse)
		require.NoError(t, f.Close())
	}
	assert.LessOrEqual(t, count(), before+1) // the runtime may have opened its poller
}

const childEnv = "SEEDFILE_TEST_STORE_FOR_EVER"

// TestMain is, in the child of TestKilledWhileStoring, a process that stores
// without end.
func TestMain(m *testing.M) {
	path := os.Getenv(childEnv)
	if path == "" {
		os.Exit(m.Run())
	}
	f, err := Open(path)
	if err != nil {
		os.Exit(2)
	}
	for b := byte(1); ; b = b%255 + 1 {
		if f.Store(seedOf(b)) != nil {
			os.Exit(3)
		}
		if b == 3 {
			_ = os.Stdout.Close() // the parent waits for this
		}
	}
}

// Killed at any moment, the process leaves a whole seed and a lock that is
// free.
func TestKilledWhileStoring(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seed")
	f := mustOpen(t, path)
	require.NoError(t, f.Store(seedOf(1)))
	require.NoError(t, f.Close())
	kills := 15
	if os.Getenv("XENTROPYD_SOAK") != "" {
		kills = 500
	}
	for range kills {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+path)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		_, err = io.Copy(io.Discard, out) // until it has stored some
		require.NoError(t, err)
		time.Sleep(rand.N(20 * time.Millisecond))
		require.NoError(t, cmd.Process.Kill())
		require.EqualError(t, cmd.Wait(), "signal: killed")

		f, err := Open(path)
		require.NoError(t, err)
		seed, err := f.Load()
		require.NoError(t, err)
		require.Equal(t, bytes.Repeat(seed[:1], Size), seed, "old or new, never half")
		require.NoError(t, f.Close())
		require.Equal(t, []string{"seed", "seed.lock"}, names(t, filepath.Dir(path)))
	}
}
