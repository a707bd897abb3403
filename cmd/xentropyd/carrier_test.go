package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/guest"
	"github.com/xentropyd/xentropyd/host"
	"github.com/xentropyd/xentropyd/host/control"
	"github.com/xentropyd/xentropyd/internal/cli"
	"github.com/xentropyd/xentropyd/transport"
	"github.com/xentropyd/xentropyd/transport/all"
)

// toy is a carrier that nothing outside this file knows: pipes inside one
// process, found by name.
type toy struct {
	mu    sync.Mutex
	there map[string]*toyListener
}

// toyConfig is its table.
type toyConfig struct {
	Patience time.Duration `toml:"patience"` // of a dial, 1 ms to an hour
}

func (c *toyConfig) Check(used bool) (faults []transport.Fault) {
	if used && (c.Patience < time.Millisecond || c.Patience > time.Hour) {
		text := fmt.Sprintf("%v; want 1ms to 1h0m0s", c.Patience)
		faults = append(faults, transport.Fault{Key: "patience", Text: text})
	}
	return faults
}

// carrier is what it says of itself: all that the daemon and a guest go by.
func (t *toy) carrier() *transport.Carrier {
	return &transport.Carrier{
		Scheme: "toy",
		Form:   "NAME",
		Check: func(path string) (int, string) {
			if path == "" {
				return 0, "want a name"
			}
			return 0, ""
		},
		Dial:   t.dial,
		Listen: t.listen,
		Config: func() transport.Config { return &toyConfig{Patience: time.Minute} },
	}
}

type toyListener struct {
	came   chan net.Conn
	closed chan struct{}
	close  func()
	config *toyConfig // what Listen was given
}

func (t *toy) listen(path string, o transport.ListenOptions) (transport.Listener, error) {
	l := &toyListener{came: make(chan net.Conn), closed: make(chan struct{}), config: o.Config.(*toyConfig)}
	l.close = sync.OnceFunc(func() { close(l.closed) })
	t.mu.Lock()
	defer t.mu.Unlock()
	t.there[path] = l
	return l, nil
}

func (l *toyListener) Accept() (transport.Conn, transport.Peer, error) {
	select {
	case c := <-l.came:
		return c, transport.Peer{ID: "toy:guest", Group: "toys", Name: "guest", Carrier: "toy"}, nil
	case <-l.closed:
		return nil, transport.Peer{}, net.ErrClosed
	}
}

func (l *toyListener) Close() error {
	l.close()
	return nil
}

func (t *toy) dial(ctx context.Context, path string) (transport.Conn, error) {
	t.mu.Lock()
	l := t.there[path]
	t.mu.Unlock()
	if l == nil {
		return nil, fmt.Errorf("nobody listens at %q", path)
	}
	ours, theirs := net.Pipe()
	select {
	case l.came <- theirs:
		return ours, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// withToy puts a toy carrier into the list, until the test ends.
func withToy(t *testing.T) *toy {
	made, before := &toy{there: make(map[string]*toyListener)}, all.Carriers
	t.Cleanup(func() { all.Carriers = before })
	all.Carriers = append(before[:len(before):len(before)], made.carrier())
	return made
}

// toyFile writes a configuration that listens at the toy carrier alone. More
// begins at its line 4.
func toyFile(t *testing.T, more string) (path string) {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "xentropyd-test-")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	path = filepath.Join(dir, "x.toml")
	text := fmt.Sprintf("listen = ['toy:x']\ncontrol = '%s/control.sock'\nseed_file = '%[1]s/seed'\n", dir)
	require.NoError(t, os.WriteFile(path, []byte(text+more), 0o600))
	return path
}

// A carrier is its package and its place in the list. The daemon listens with
// it, reads its table and hands it over; a guest dials it; and nobody else
// knows of it.
func TestACarrierIsItsPackageAndItsPlaceInTheList(t *testing.T) {
	noLeaks(t)
	made := withToy(t)
	file := toyFile(t, "[toy]\npatience = '3s'\n")
	var out bytes.Buffer
	require.Equal(t, cli.ExitOK, cli.Run(root(), []string{"check", "--config", file}, &out, &out), out.String())

	c, err := loadConfig(file)
	require.NoError(t, err)
	var log bytes.Buffer
	d, err := newDaemon(c, slog.New(slog.NewTextHandler(&log, nil)))
	require.NoError(t, err)
	d.file = file
	assert.Equal(t, &toyConfig{3 * time.Second}, made.there["x"].config)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.run(ctx) }()
	<-d.entropy.Ready()

	dial, err := all.Dialer("toy:x")
	require.NoError(t, err)
	g, err := guest.Open(t.Context(), dial, guest.Options{RequireHost: true})
	require.NoError(t, err)
	_, err = io.ReadFull(g, make([]byte, 100))
	require.NoError(t, err)
	assert.NotZero(t, g.Status().Host.Seeds)
	st := theGuest(t, control.Dial(c.Control), func(s host.GuestStatus) bool { return s.Acknowledged == 1 })
	assert.Equal(t, "toy", st.Carrier)
	require.NoError(t, g.Close())

	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, bytes.Replace(text, []byte("3s"), []byte("4s"), 1), 0o600))
	d.reload()
	cancel()
	require.NoError(t, <-done)
	assert.Contains(t, log.String(), `other changes, which take a restart" keys=toy.patience`)
}

// What is wrong in a carrier's table is told as everywhere: with its place, and
// with what it wants.
func TestACarriersTableIsChecked(t *testing.T) {
	withToy(t)
	for more, want := range map[string]string{
		"[toy]\npatience = '0s'":             ":5:1: toy.patience: 0s; want 1ms to 1h0m0s",
		"[toy]\n  patience = 'soon'":         `:5:3: toy.patience: "soon"; want a duration in quotes, such as "1m30s"`,
		"[toy]\npatience = ['1s']":           ":5:12: toy.patience: want a duration in quotes, such as \"1m30s\"",
		"[toy]\npatience = '1s'\nhaste = 1":  `:6:1: unknown key "toy.haste"; known in [toy]: patience`,
		"[toys]\npatience = '1s'":            `:4:2: unknown key "toys"; known at the top: listen, `,
		"toy = 5":                            ":4:7: toy: want a table, [toy]",
		"[toy]\npatience = '0s'\n[xen]\nx=1": ":7:1: unknown key \"xen.x\"",
	} {
		file := toyFile(t, more)
		_, err := loadConfig(file)
		require.ErrorContains(t, err, file+want)
		var out bytes.Buffer
		assert.Equal(t, cli.ExitUsage, cli.Run(root(), []string{"check", "--config", file}, &out, &out))
		assert.Contains(t, out.String(), "xentropyd: "+file+want)
		assert.Equal(t, 1, strings.Count(out.String(), "\n"), out.String())
	}
	c, err := loadConfig(toyFile(t, ""))
	require.NoError(t, err)
	assert.Equal(t, &toyConfig{time.Minute}, c.Table("toy:x"), "the default")
}
