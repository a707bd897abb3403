package seedfile

import (
	"bytes"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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
	require.NoError(t, f.Store(seedOf(2)))
	b, err := os.ReadFile(target)
	require.NoError(t, err)
	assert.Equal(t, seedOf(1), b, "Store replaces the link, not what it points at")

	fifo := filepath.Join(dir, "fifo")
	require.NoError(t, syscall.Mkfifo(fifo, 0o600))
	_, err = mustOpen(t, fifo).Load() // and does not hang
	assert.ErrorIs(t, err, ErrNotRegular)
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

// TestMain is, in the child of TestKilledWhileStoring, a process that stores without end.
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

// Killed at any moment, the process leaves a whole seed and a lock that is free.
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
