package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/xentropyd/xentropyd/cmd/xentropyd/internal/config"
	"github.com/xentropyd/xentropyd/host/control"
	"github.com/xentropyd/xentropyd/internal/seedfile"
)

// TestSeedsOpenLate: neither start nor end waits for a file system that does
// not answer; when it does, the seed file serves, and its lock is given back
// although Close was not waited for.
func TestSeedsOpenLate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seed")
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		answer := make(chan struct{})
		start := time.Now()
		s, err := openSeeds(path, func(path string) (*seedfile.File, error) {
			<-answer
			return seedfile.Open(path)
		}, slog.New(slog.NewTextHandler(&log, nil)))
		require.NoError(t, err)
		require.Equal(t, seedFilePatience, time.Since(start))
		require.Contains(t, log.String(), "does not answer")
		require.Contains(t, log.String(), path)
		stored := make(chan error, 1)
		go func() { stored <- s.Store(bytes.Repeat([]byte{1}, seedfile.Size)) }()
		require.NoError(t, s.Close())
		require.Equal(t, 2*seedFilePatience, time.Since(start))
		close(answer)
		<-stored // stored or closed: whichever came first
		synctest.Wait()
	})
	f, err := seedfile.Open(path)
	require.NoError(t, err, "the lock is free")
	require.NoError(t, f.Close())
}

// TestSeedsInUse: what is wrong and known in time is no start at all.
func TestSeedsInUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seed")
	f, err := seedfile.Open(path)
	require.NoError(t, err)
	defer f.Close()
	_, err = openSeeds(path, seedfile.Open, slog.New(slog.DiscardHandler))
	require.ErrorIs(t, err, seedfile.ErrInUse)
}

// mountSilent mounts a FUSE file system that nobody answers for
// (mount.fuse3(8), fuse(4)), until the test ends.
func mountSilent(t *testing.T, dir string) {
	t.Helper()
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skipf("needs FUSE (modprobe fuse): %v", err)
	}
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=%d,group_id=%d", fd, os.Getuid(), os.Getgid())
	if err := unix.Mount("silent", dir, "fuse", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		unix.Close(fd)
		t.Skipf("needs the right to mount; run as root, for instance with go test -exec sudo: %v", err)
	}
	t.Cleanup(func() {
		unix.Close(fd) // whoever waits is told now
		require.NoError(t, unix.Unmount(dir, unix.MNT_DETACH))
	})
}

// TestSilentFileSystem: a seed file on a file system that does not answer costs
// the kept seed and nothing else.
func TestSilentFileSystem(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "xentropyd-test-")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) }) // after it was unmounted
	silent := filepath.Join(dir, "silent")
	require.NoError(t, os.Mkdir(silent, 0o700))
	mountSilent(t, silent)
	c := config.UserDefault(dir, dir)
	file := filepath.Join(dir, "x.toml")
	text := fmt.Appendf(nil, "listen = [%q]\ncontrol = %q\nseed_file = %q\n", c.Listen[0], c.Control,
		filepath.Join(silent, "seed"))
	require.NoError(t, os.WriteFile(file, text, 0o600))
	var log bytes.Buffer
	d := exec.Command("/proc/self/exe", "run", "--config", file)
	d.Args[0] = "xentropyd"
	d.Stdout, d.Stderr = &log, &log
	require.NoError(t, d.Start())
	ended := make(chan error, 1)
	go func() { ended <- d.Wait() }()
	answered, late := false, time.After(time.Minute)
	for seeded := false; !seeded; {
		s, err := control.Dial(c.Control).Status(t.Context())
		seeded = err == nil && s.Entropy.Seeded
		answered = answered || err == nil && !seeded
		select {
		case err := <-ended:
			t.Fatalf("it ended: %v\n%s", err, log.String())
		case <-late:
			_ = d.Process.Kill()
			t.Fatal("it is not seeded")
		case <-time.After(5 * time.Millisecond):
		}
	}
	require.True(t, answered, "status is served while the start waits for the kept seed")
	require.NoError(t, d.Process.Signal(syscall.SIGTERM))
	select {
	case err := <-ended:
		require.NoError(t, err, log.String())
	case <-late:
		_ = d.Process.Kill()
		t.Fatal("it does not end")
	}
	require.Equal(t, 1, strings.Count(log.String(), "level=ERROR"), log.String())
	require.Contains(t, log.String(), "no seed kept for the next start")
	require.Contains(t, log.String(), "seed_file="+filepath.Join(silent, "seed"))
}
