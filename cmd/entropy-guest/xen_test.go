package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/internal/cli"
	"github.com/xentropyd/xentropyd/internal/earlyboot"
	"github.com/xentropyd/xentropyd/transport"
	"github.com/xentropyd/xentropyd/transport/local"
)

// set replaces a variable for one test.
func set[T any](t *testing.T, v *T, to T) {
	was := *v
	*v = to
	t.Cleanup(func() { *v = was })
}

// fakes are two carriers of a guest of Xen or not, and the machine's own.
func fakes(xen bool) transport.Carriers {
	find := func(path string, here bool) func(context.Context) (string, error) {
		return func(context.Context) (string, error) {
			if !here {
				return "", transport.ErrNotHere
			}
			return path, nil
		}
	}
	good := func(string) (int, string) { return 0, "" }
	cure := func(says string) func(error) string { return func(error) string { return says } }
	return transport.Carriers{
		{Scheme: "xen", Check: good, Waits: true, Find: find("", xen), Cure: cure("domain 0")},
		{Scheme: "local", Check: good, Find: find("/s", true), Cure: cure("")},
		{Scheme: "unix", Check: good, Cure: cure("")},
	}
}

func TestAutoAddress(t *testing.T) {
	for _, c := range []struct {
		xen             bool
		flag, env, want string
		waits           bool
	}{
		{false, "", "", "local:/s", false},
		{false, "auto", "", "local:/s", false},
		{false, "auto", "xen:", "local:/s", false},
		{true, "", "", autoHost, true},
		{true, "", "auto", autoHost, true},
		{true, "auto", "local:/x", autoHost, true},
		{true, "", "local:/x", "local:/x", false},
		{true, "unix:/y", "auto", "unix:/y", false},
		{false, "xen:3", "", "xen:3", true},
	} {
		set(t, &carriers, fakes(c.xen))
		t.Setenv(hostEnv, c.env)
		got, err := hostAddress(t.Context(), c.flag)
		require.NoError(t, err)
		assert.Equal(t, c.want, got, "%+v", c)
		assert.Equal(t, c.waits, waits(got), got)
	}
}

func TestModules(t *testing.T) {
	a, b := transport.Device{Path: "/a", Module: "a"}, transport.Device{Path: "/b", Module: "b"}
	assert.Equal(t, []string{"a", "b"}, modules([]transport.Device{a, b}))
	assert.Empty(t, modules([]transport.Device{{Path: "/dev/xen/xenbus"}, a}))
	assert.Empty(t, modules(nil))
}

func TestHintsOnXen(t *testing.T) {
	hint := func(address string, err error) string { return cli.Hint(hostHint(address, err)) }
	assert.Contains(t, hint("xen:", transport.ErrBusy), "console:")
	assert.Contains(t, hint("xen:", fs.ErrPermission), "root")
	assert.Contains(t, hint(autoHost, errors.New("x")), "domain 0")
	assert.Contains(t, hint("local:"+local.DefaultSocket, fs.ErrNotExist), "start xentropyd")
	assert.Equal(t, "own", hint("xen:", cli.WithHint(errors.New("x"), "own")))
}

func TestAsInit(t *testing.T) {
	for _, c := range []struct {
		first      bool
		args, want []string
	}{
		{true, nil, []string{"run"}},
		{true, []string{"splash", "single"}, []string{"run"}},
		{true, []string{"run", "--exec", "/sbin/init"}, []string{"run", "--exec", "/sbin/init"}},
		{true, []string{"--help"}, []string{"--help"}},
		{true, []string{"status"}, []string{"status"}},
		{false, nil, nil},
		{false, []string{"splash"}, []string{"splash"}},
	} {
		assert.Equal(t, c.want, asInit(c.first, c.args), "%+v", c)
	}
}

// boot is one start of run as a process with a number.
type boot struct {
	becoming []string // program and arguments
	idle     bool
	mounted  int
	err      error
}

type idling struct{}

func start(t *testing.T, first bool, execErr error, args ...string) (b boot) {
	set(t, &isInit, func() bool { return first })
	set(t, &mount, func() (*earlyboot.Mounts, error) {
		b.mounted++
		return new(earlyboot.Mounts), errors.New("no sysfs")
	})
	set(t, &replace, func(path string, argv, _ []string) error {
		b.becoming = append([]string{path}, argv...)
		if execErr == nil {
			panic(idling{}) // it does not come back
		}
		return execErr
	})
	set(t, &forever, func() { b.idle = true; panic(idling{}) })
	r := &cobra.Command{Use: "x", SilenceErrors: true, SilenceUsage: true}
	r.AddCommand(runCommand())
	r.SetArgs(append([]string{"run", "--dry-run", "--status-file", ""}, args...))
	func() {
		defer func() {
			if p := recover(); p != nil && p != (idling{}) {
				panic(p)
			}
		}()
		b.err = r.ExecuteContext(t.Context())
	}()
	return b
}

func TestBecomes(t *testing.T) {
	t.Setenv(hostEnv, "")
	program := filepath.Join(t.TempDir(), "init")
	require.NoError(t, os.WriteFile(program, nil, 0o755))
	nowhere := "local:" + filepath.Join(t.TempDir(), "none")

	// The host is away: after --wait it goes on.
	b := start(t, true, nil, "--host", nowhere, "--wait", "1ms", "--exec", program, "--", "single")
	assert.Equal(t, []string{program, program, "single"}, b.becoming)
	assert.Equal(t, 1, b.mounted)
	assert.False(t, b.idle)

	b = start(t, false, nil, "--host", nowhere, "--wait", "1ms", "--exec", program)
	assert.Equal(t, []string{program, program}, b.becoming)
	assert.Zero(t, b.mounted, "only the first process mounts")

	// Even what cannot work must not stop a boot.
	b = start(t, true, nil, "--host", "pigeon:", "--exec", program)
	assert.NotEmpty(t, b.becoming)
	b = start(t, true, errors.New("exec format error"), "--host", nowhere, "--wait", "1ms", "--exec", "/no/such/init")
	assert.Equal(t, []string{"/no/such/init", "/no/such/init"}, b.becoming)
	assert.True(t, b.idle, "the first process does not end")

	b = start(t, false, nil, "--exec", "/no/such/init")
	assert.ErrorContains(t, b.err, "--exec")
	assert.Empty(t, b.becoming)
	b = start(t, false, errors.New("exec format error"), "--host", nowhere, "--wait", "1ms", "--exec", program)
	assert.ErrorContains(t, b.err, "exec format error")
	b = start(t, false, nil, "stray")
	assert.ErrorContains(t, b.err, "only --exec")
}

func TestFirstProcessDoesNotEnd(t *testing.T) {
	nowhere := "local:" + filepath.Join(t.TempDir(), "none")
	b := start(t, true, nil, "--host", nowhere, "--once", "--wait", "1ms")
	assert.True(t, b.idle)
	b = start(t, false, nil, "--host", nowhere, "--once", "--wait", "1ms")
	assert.False(t, b.idle)
	assert.Error(t, b.err)
}
