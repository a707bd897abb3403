package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/cmd/xentropyd/internal/config"
	"github.com/xentropyd/xentropyd/host"
	"github.com/xentropyd/xentropyd/host/control"
	"github.com/xentropyd/xentropyd/internal/cli"
)

// pretend is a daemon that stands as it is told to.
type pretend host.EntropyStatus

func (p pretend) Status() host.EntropyStatus { return host.EntropyStatus(p) }

type pretendServer struct{}

func (pretendServer) Status() host.Status                       { return host.Status{} }
func (pretendServer) NewGeneration() uint64                     { return 7 }
func (pretendServer) NewGenerationFor(id string) (uint64, bool) { return 8, id == "a" }

// TestExitStatusOfStatus: what the daemon says of itself is the exit status,
// with all three ways of printing it.
func TestExitStatusOfStatus(t *testing.T) {
	for _, c := range []struct {
		name string
		e    host.EntropyStatus
		want int
	}{
		{"well", host.EntropyStatus{Seeded: true, Policy: host.PolicyDegraded}, cli.ExitOK},
		{"degraded", host.EntropyStatus{Seeded: true, Degraded: true, Policy: host.PolicyDegraded}, cli.ExitDegraded},
		{"stopped", host.EntropyStatus{Seeded: true, Degraded: true, Policy: host.PolicyStop}, cli.ExitDegraded},
		{"not seeded", host.EntropyStatus{Policy: host.PolicyDegraded}, cli.ExitNotSeeded},
		{"not seeded, and nothing healthy", host.EntropyStatus{Degraded: true}, cli.ExitNotSeeded},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, err := os.MkdirTemp("/tmp", "xentropyd-test-")
			require.NoError(t, err)
			defer os.RemoveAll(dir)
			path := filepath.Join(dir, "s")
			l, err := control.Listen(path)
			require.NoError(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() {
				done <- control.Serve(ctx, l, control.Config{Entropy: pretend(c.e), Server: pretendServer{}})
			}()
			defer func() { cancel(); require.NoError(t, <-done) }()
			run := func(args ...string) (int, string, string) {
				var out, errs bytes.Buffer
				status := cli.Run(root(), append([]string{"status", "--control", path}, args...), &out, &errs)
				return status, out.String(), errs.String()
			}
			for _, arg := range []string{"--log-level=info", "--json", "--check"} {
				status, out, errs := run(arg)
				require.Equal(t, c.want, status, arg)
				require.Equal(t, arg == "--check", out == "", out)
				require.Empty(t, errs)
			}
		})
	}
}

// asUser runs this program as xentropyd and another user.
func asUser(t *testing.T, uid uint32, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("another user is needed: sudo -E go test ./cmd/xentropyd")
	}
	var out, errs bytes.Buffer
	c := exec.Command("/proc/self/exe")
	c.Args = append([]string{"xentropyd"}, args...)
	c.Stdout, c.Stderr = &out, &errs
	c.Dir = "/"
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	err := c.Run()
	if c.ProcessState == nil {
		require.NoError(t, err)
	}
	return c.ProcessState.ExitCode(), out.String(), errs.String()
}

// TestRightsOfAnotherUser: the daemon's configuration says who may look and who
// may renew, and the command line says what is missing.
func TestRightsOfAnotherUser(t *testing.T) {
	const anna, berta = 1910001001, 1910001002
	noLeaks(t)
	c, client, stop := inProcess(t, func(c *config.Config) {
		c.Rights = config.Rights{Look: []string{fmt.Sprint(anna)}, Change: []string{fmt.Sprint("@", berta)}}
	})
	for dir := filepath.Dir(c.Control); dir != "/tmp"; dir = filepath.Dir(dir) {
		require.NoError(t, os.Chmod(dir, 0o755))
	}
	require.NoError(t, os.Chmod(c.Control, 0o666))

	status, out, _ := asUser(t, anna, "status", "--control", c.Control)
	require.Zero(t, status)
	require.Contains(t, out, "seeded and serving")
	status, out, errs := asUser(t, anna, "renew", "--control", c.Control)
	require.Equal(t, cli.ExitFailure, status)
	require.Empty(t, out)
	require.Contains(t, errs, `not allowed: uid 1910001001 has not the right "change"`)
	require.Contains(t, errs, "hint: run this as root, or list your user or group in [rights]")

	status, _, errs = asUser(t, berta, "status", "--control", c.Control)
	require.Equal(t, cli.ExitFailure, status)
	require.Contains(t, errs, `has not the right "look"`)
	status, _, errs = asUser(t, berta, "sources", "--control", c.Control)
	require.Equal(t, cli.ExitFailure, status)
	require.Contains(t, errs, `has not the right "look"`)
	status, out, errs = asUser(t, berta, "renew", "--control", c.Control)
	require.Zero(t, status, errs)
	require.Contains(t, out, "generation 2 begun")

	s, err := client.Status(t.Context())
	require.NoError(t, err, "root's")
	require.EqualValues(t, 2, s.Server.Generation)
	require.NoError(t, stop())
}
