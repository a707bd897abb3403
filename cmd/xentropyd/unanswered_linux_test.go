package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/xentropyd/xentropyd/cmd/xentropyd/internal/config"
	"github.com/xentropyd/xentropyd/host/control"
	"github.com/xentropyd/xentropyd/internal/seccomptest"
)

// TestStartsWithAKernelThatNeverAnswers: in a sandbox whose supervisor hangs,
// getrandom does not return. The daemon is seeded, serves and ends.
func TestStartsWithAKernelThatNeverAnswers(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "xentropyd-test-")
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	c := config.UserDefault(dir, dir)
	file := filepath.Join(dir, "x.toml")
	text := fmt.Appendf(nil, "listen = [%q]\ncontrol = %q\nseed_file = %q\n", c.Listen[0], c.Control, c.SeedFile)
	require.NoError(t, os.WriteFile(file, text, 0o600))
	var log bytes.Buffer
	d := exec.Command(seccomptest.Build(t), "run", "--config", file)
	d.Stdout, d.Stderr = &log, &log
	seccomptest.StartSilent(t, d, unix.SYS_GETRANDOM)
	ended := make(chan error, 1)
	go func() { ended <- d.Wait() }()
	late := time.After(time.Minute)
	for seeded := false; !seeded; {
		s, err := control.Dial(c.Control).Status(t.Context())
		seeded = err == nil && s.Entropy.Seeded
		select {
		case err := <-ended:
			t.Fatalf("it ended: %v\n%s", err, log.String())
		case <-late:
			_ = d.Process.Signal(syscall.SIGQUIT) // for its stacks
			t.Fatalf("it is not seeded: %v\n%s", <-ended, log.String())
		case <-time.After(5 * time.Millisecond):
		}
	}
	require.NoError(t, d.Process.Signal(syscall.SIGTERM))
	select {
	case err := <-ended:
		require.NoError(t, err, log.String())
	case <-late:
		_ = d.Process.Kill()
		t.Fatal("it does not end")
	}
}
