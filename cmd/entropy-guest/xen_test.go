package main

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/internal/cli"
	"github.com/xentropyd/xentropyd/internal/earlyboot"
	"github.com/xentropyd/xentropyd/transport"
)

// set replaces a variable for one test.
func set[T any](t *testing.T, v *T, to T) {
	was := *v
	*v = to
	t.Cleanup(func() { *v = was })
}

func TestAutoAddress(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", "")
	for _, c := range []struct {
		xen             bool
		flag, env, want string
	}{
		{false, "", "", defaultHost},
		{false, "auto", "", defaultHost},
		{false, "auto", "xen:", defaultHost},
		{true, "", "", autoHost},
		{true, "", "auto", autoHost},
		{true, "auto", "local:/x", autoHost},
		{true, "", "local:/x", "local:/x"},
		{true, "console:", "auto", "console:"},
		{false, "xen:3", "", "xen:3"},
	} {
		set(t, &xenGuest, func() bool { return c.xen })
		t.Setenv(hostEnv, c.env)
		got, err := hostAddress(c.flag)
		require.NoError(t, err)
		assert.Equal(t, c.want, got, "%+v", c)
		assert.Equal(t, got != defaultHost && got != "local:/x", onXen(got), got)
	}
}

func TestAutoDialer(t *testing.T) {
	gone := []transport.MissingDevice{{Path: "/dev/xen/evtchn", Module: "xen-evtchn"}, {Path: "/dev/xen/gntalloc", Module: "xen-gntalloc"}}
	refused := errors.New("refused")
	for name, c := range map[string]struct {
		missing []transport.MissingDevice
		console error
		vchan   error
		tried   []string
		want    error
		says    string
	}{
		"vchan":                {tried: []string{"xen:"}},
		"vchan fails":          {vchan: refused, tried: []string{"xen:"}, want: refused},
		"vchan is taken":       {vchan: transport.ErrBusy, tried: []string{"xen:", "console:"}},
		"taken and no console": {vchan: transport.ErrBusy, console: fs.ErrNotExist, tried: []string{"xen:"}, want: transport.ErrBusy, says: transport.ConsoleName},
		"console":              {missing: gone, tried: []string{"console:"}},
		"nothing":              {missing: gone, console: fs.ErrNotExist, says: "/dev/xen/evtchn, /dev/xen/gntalloc (load the kernel modules: modprobe -a xen-evtchn xen-gntalloc)"},
		"one module":           {missing: gone[1:], console: fs.ErrNotExist, says: "no vchan without /dev/xen/gntalloc (load the kernel modules: modprobe -a xen-gntalloc)"},
		"no device at all":     {missing: append([]transport.MissingDevice{{Path: "/dev/xen/xenbus"}}, gone...), console: fs.ErrPermission, want: fs.ErrPermission},
		"no xenbus":            {missing: append([]transport.MissingDevice{{Path: "/dev/xen/xenbus"}}, gone...), console: fs.ErrNotExist, says: "devtmpfs"},
	} {
		var tried []string
		d := &autoDialer{
			missing: func() []transport.MissingDevice { return c.missing },
			console: func(context.Context) error { return c.console },
			open: func(_ context.Context, address string) (transport.Conn, error) {
				tried = append(tried, address)
				if address == "xen:" && c.vchan != nil {
					return nil, c.vchan
				}
				a, b := net.Pipe()
				b.Close()
				return a, nil
			},
		}
		conn, err := d.dial(t.Context(), autoHost)
		assert.Equal(t, c.tried, tried, name)
		if c.want == nil && c.says == "" {
			if assert.NoError(t, err, name) {
				conn.Close()
			}
			continue
		}
		require.Error(t, err, name)
		if c.want != nil {
			assert.ErrorIs(t, err, c.want, name)
		}
		assert.ErrorContains(t, err, c.says, name)
	}
}

func TestModules(t *testing.T) {
	a, b := transport.MissingDevice{Path: "/a", Module: "a"}, transport.MissingDevice{Path: "/b", Module: "b"}
	assert.Equal(t, []string{"a", "b"}, modules([]transport.MissingDevice{a, b}))
	assert.Empty(t, modules([]transport.MissingDevice{{Path: "/dev/xen/xenbus"}, a}))
	assert.Empty(t, modules(nil))
}

func TestHintsOnXen(t *testing.T) {
	hint := func(address string, err error) string { return cli.Hint(hostHint(address, err)) }
	assert.Contains(t, hint("xen:", transport.ErrBusy), "console:")
	assert.Contains(t, hint("xen:", fs.ErrPermission), "root")
	assert.Contains(t, hint(autoHost, errors.New("x")), "domain 0")
	assert.Contains(t, hint(defaultHost, fs.ErrNotExist), "start xentropyd")
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
	set(t, &xenGuest, func() bool { return false })
	set(t, &isInit, func() bool { return first })
	set(t, &mount, func() (*earlyboot.Mounts, error) { b.mounted++; return new(earlyboot.Mounts), errors.New("no sysfs") })
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
