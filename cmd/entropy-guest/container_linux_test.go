package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// contained PROC ARGUMENT…: entropy-guest, as the first process of a container
// whose /proc is its own, the host's, or missing.
func contained() {
	kind := os.Args[1]
	os.Args = append(os.Args[:1], os.Args[2:]...)
	err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	if err == nil {
		switch kind {
		case "own":
			err = unix.Mount("proc", "/proc", "proc", 0, "")
		case "none":
			err = unix.Mount("none", "/proc", "tmpfs", 0, "")
		}
	}
	if err == nil && os.Getpid() != 1 {
		err = errors.New("not process 1")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "contained:", err)
		os.Exit(126)
	}
	main()
}

// container is a command that runs in namespaces of its own: as root, or in a
// user namespace.
func container(args ...string) *exec.Cmd {
	c := exec.Command("contained", args...)
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL,
	}
	if os.Geteuid() != 0 {
		c.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		c.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		c.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	return c
}

func needContainers(t *testing.T) {
	t.Helper()
	runtime.LockOSThread() // the children die with the thread that made them
	t.Cleanup(runtime.UnlockOSThread)
	if out, err := container("host", "version").CombinedOutput(); err != nil {
		t.Skipf("no namespaces for this user (%v: %s); to run this test: sudo go test ./cmd/entropy-guest", err, out)
	}
}

// TestFirstOfAContainer: process 1 of a container is no machine's init. It ends
// as it was told to.
func TestFirstOfAContainer(t *testing.T) {
	needContainers(t)
	for _, proc := range []string{"own", "host", "none"} {
		for _, signal := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
			nowhere := "local:" + filepath.Join(t.TempDir(), "none")
			c := container(proc, "run", "--dry-run", "--status-file=", "--host", nowhere)
			stderr, err := c.StderrPipe()
			require.NoError(t, err)
			require.NoError(t, c.Start())
			late := time.AfterFunc(patience, func() { _ = c.Process.Kill() })
			lines, said := bufio.NewReader(stderr), ""
			for !strings.Contains(said, "following the host") {
				line, err := lines.ReadString('\n')
				said += line
				require.NoError(t, err, said)
			}
			require.NoError(t, c.Process.Signal(signal))
			rest, err := io.ReadAll(lines)
			assert.NoError(t, err)
			assert.NoError(t, c.Wait(), "%s, %v: %s%s", proc, signal, said, rest)
			late.Stop()
			assert.NotContains(t, said, "first process")
		}
	}
}

// TestWordsOfAContainer: what a container's first process is given is no
// kernel's command line.
func TestWordsOfAContainer(t *testing.T) {
	needContainers(t)
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"", 2, "no command given"},
		{"splash single", 2, "unknown command"},
		{"status --check --status-file /none", 1, ""},
		{"run --dry-run --once --wait 10ms --status-file= --host local:/none/none", 1, "no seed was used"},
		{"version", 0, ""},
	} {
		var stderr bytes.Buffer
		cmd := container(append([]string{"none"}, strings.Fields(c.args)...)...)
		cmd.Stderr = &stderr
		cmd.WaitDelay = patience
		require.NoError(t, cmd.Start())
		late := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		late.Stop()
		assert.Equal(t, c.code, cmd.ProcessState.ExitCode(), c.args)
		assert.Contains(t, stderr.String(), c.says, c.args)
	}
}
