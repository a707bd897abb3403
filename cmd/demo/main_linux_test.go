package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/cmd/demo/internal/demo"
	"github.com/xentropyd/xentropyd/internal/cli"
)

// daemonPath is the daemon's program.
var daemonPath string

// withDaemon builds it for the tests.
type withDaemon struct{ *testing.M }

func (m withDaemon) Run() int {
	path, remove, err := findDaemon(context.Background(), "", io.Discard)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer remove()
	daemonPath = path
	return m.M.Run()
}

// TestMain makes this test program stand in for the demo when it is started
// under that name.
func TestMain(m *testing.M) {
	testscript.Main(withDaemon{m}, map[string]func(){"demo": main})
}

func TestFindDaemon(t *testing.T) {
	path, _, err := findDaemon(t.Context(), daemonPath, io.Discard)
	require.NoError(t, err)
	require.Equal(t, daemonPath, path)
	_, _, err = findDaemon(t.Context(), "/nonexistent", io.Discard)
	require.ErrorContains(t, err, "--daemon")
	t.Setenv("PATH", t.TempDir())
	_, _, err = findDaemon(t.Context(), "", io.Discard)
	require.ErrorContains(t, err, "build xentropyd")
	require.Contains(t, cli.Hint(err), "--daemon")
}

// startDemo starts the demo with a temporary directory of its own, by whose
// name its children are found.
func startDemo(t *testing.T, args ...string) (cmd *exec.Cmd, dir string, stdout, stderr *bytes.Buffer) {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "xentropyd-test-") // t.TempDir is too long for a socket's path
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	stdout, stderr = new(bytes.Buffer), new(bytes.Buffer)
	cmd = exec.Command("demo", append([]string{"--daemon", daemonPath}, args...)...)
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill() })
	return cmd, dir, stdout, stderr
}

// processes are the PIDs of all processes that have text in their command line.
func processes(text string) (pids []string) {
	all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, p := range all {
		if line, err := os.ReadFile(p); err == nil && strings.Contains(string(line), text) {
			pids = append(pids, filepath.Base(filepath.Dir(p)))
		}
	}
	return pids
}

// gone checks that no process and, if asked, no file is left.
func gone(t *testing.T, dir string, files bool) {
	t.Helper()
	assert.Eventually(t, func() bool { return len(processes(dir)) == 0 }, time.Minute,
		10*time.Millisecond, "processes are left")
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	if files {
		assert.Empty(t, left)
	}
}

func TestDemoJSON(t *testing.T) {
	if testing.Short() {
		t.Skip("takes about ten seconds; run without -short")
	}
	t.Parallel()
	cmd, dir, stdout, stderr := startDemo(t, "--json")
	require.NoError(t, cmd.Wait(), "%s%s", stdout, stderr)
	gone(t, dir, true)
	assert.Empty(t, stderr.String())

	var r demo.Result
	d := json.NewDecoder(stdout)
	d.DisallowUnknownFields()
	require.NoError(t, d.Decode(&r))
	assert.False(t, d.More(), "one object")
	assert.True(t, r.OK)
	assert.Empty(t, r.Problems)

	var healthy float64
	for _, s := range r.Sources {
		assert.NotEmpty(t, s.Name)
		assert.NotZero(t, s.Samples, s.Name)
		if s.Healthy && s.Credited {
			healthy += s.MinEntropyBits
		}
	}
	assert.GreaterOrEqual(t, healthy, 256.0)
	require.Len(t, r.Guests, 3)
	for i, g := range r.Guests {
		assert.True(t, g.Seeded, g.Name)
		assert.NotZero(t, g.Seeds, g.Name)
		assert.NotZero(t, g.Bytes, g.Name)
		assert.Zero(t, g.ReadErrors, g.Name)
		want := uint64(1) // the daemon's death
		if i == 1 {
			want = 2 // and its own
			assert.Equal(t, 1, g.Kills)
		}
		assert.GreaterOrEqual(t, g.Reconnects, want, g.Name)
	}
	assert.True(t, r.ReadOn)
	assert.True(t, r.Renewed)
	assert.NotZero(t, r.BlocksCompared)
	assert.Zero(t, r.BlocksRepeated)
}

// waitForGuests waits until the demo's daemon and its three guests run.
func waitForGuests(t *testing.T, dir string) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); len(processes(dir)) < 4; time.Sleep(10 * time.Millisecond) {
		require.True(t, time.Now().Before(deadline), "the demo's processes did not start")
	}
}

func TestDemoInterrupted(t *testing.T) {
	t.Parallel()
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		cmd, dir, stdout, stderr := startDemo(t)
		waitForGuests(t, dir)
		require.NoError(t, cmd.Process.Signal(sig))
		assert.Error(t, cmd.Wait())
		assert.Equal(t, 1, cmd.ProcessState.ExitCode())
		assert.Contains(t, stderr.String(), "signal received")
		assert.Contains(t, stdout.String(), "the daemon is seeded")
		gone(t, dir, true)
	}
}

// TestDemoKilled: the demo can clear up nothing then, but its children die with
// it.
func TestDemoKilled(t *testing.T) {
	t.Parallel()
	cmd, dir, _, _ := startDemo(t, "--json")
	waitForGuests(t, dir)
	require.NoError(t, cmd.Process.Kill())
	cmd.Wait()
	gone(t, dir, false)
}
