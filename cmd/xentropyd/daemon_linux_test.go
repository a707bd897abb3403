package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/cmd/xentropyd/internal/config"
	"github.com/xentropyd/xentropyd/guest"
	"github.com/xentropyd/xentropyd/host"
	"github.com/xentropyd/xentropyd/host/control"
	"github.com/xentropyd/xentropyd/internal/leaktest"
	"github.com/xentropyd/xentropyd/source"
	"github.com/xentropyd/xentropyd/transport"
	"github.com/xentropyd/xentropyd/transport/all"
)

// noLeaks is leaktest.Check where signals are taken.
func noLeaks(t *testing.T) {
	first := make(chan os.Signal, 1) // starts os/signal's goroutine, which stays
	signal.Notify(first, hangup...)
	signal.Stop(first)
	leaktest.Check(t)
}

// inProcess runs a daemon in this process until stop is called.
func inProcess(t *testing.T, change func(*config.Config)) (c config.Config, client *control.Client, stop func() error) {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "xentropyd-test-")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	c = config.UserDefault(dir, dir)
	change(&c)
	require.Empty(t, c.Check())
	d, err := newDaemon(c, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.run(ctx) }()
	select {
	case <-d.entropy.Ready():
	case err := <-done:
		t.Fatal(err)
	}
	return c, control.Dial(c.Control), func() error { cancel(); return <-done }
}

// theGuest waits until the daemon's one guest is as it should be.
func theGuest(t *testing.T, c *control.Client, is func(host.GuestStatus) bool) host.GuestStatus {
	t.Helper()
	var last []host.GuestStatus
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		var err error
		last, err = c.Guests(t.Context())
		require.NoError(t, err)
		if len(last) == 1 && is(last[0]) {
			return last[0]
		}
	}
	t.Fatalf("never came to be: %+v", last)
	return host.GuestStatus{}
}

func TestDaemonAndGuest(t *testing.T) {
	noLeaks(t)
	c, client, stop := inProcess(t, func(c *config.Config) {
		c.Guests = []config.Guest{{Match: "local:*", Bytes: new(512)}}
	})
	dial, err := all.Dialer(c.Listen[0])
	require.NoError(t, err)
	g, err := guest.Open(t.Context(), dial, guest.Options{Label: "test", RequireHost: true})
	require.NoError(t, err)
	_, err = io.ReadFull(g, make([]byte, 100))
	require.NoError(t, err)
	assert.True(t, g.Status().Host.Seeds > 0)

	st := theGuest(t, client, func(s host.GuestStatus) bool { return s.Acknowledged == 1 })
	assert.Equal(t, "test", st.Label)
	assert.Equal(t, 512, st.BudgetBytes, "the pattern's budget")
	assert.Equal(t, "local", st.Carrier)
	assert.EqualValues(t, 64, st.Bytes)

	n, err := client.NewGeneration(t.Context(), "")
	require.NoError(t, err)
	st = theGuest(t, client, func(s host.GuestStatus) bool { return s.Generation == n.Generation })
	assert.EqualValues(t, 2, st.Acknowledged)

	require.NoError(t, stop())
	_, err = io.ReadFull(g, make([]byte, 100))
	assert.NoError(t, err, "reads go on without a host")
	require.NoError(t, g.Close())
	seed, err := os.Stat(c.SeedFile)
	require.NoError(t, err)
	assert.EqualValues(t, 64, seed.Size())
	left, err := filepath.Glob(filepath.Dir(c.Control) + "/*.sock")
	require.NoError(t, err)
	assert.Empty(t, left)
}

// TestGuestThatBreaksTheRules: it loses its session, is counted, and nothing
// else happens.
func TestGuestThatBreaksTheRules(t *testing.T) {
	noLeaks(t)
	c, client, stop := inProcess(t, func(*config.Config) {})
	ch, err := all.Carriers.Dial(t.Context(), c.Listen[0])
	require.NoError(t, err)
	defer ch.Close()
	_, err = ch.Write([]byte("\x01\x00\xff\xff")) // a hello of 65,535 bytes
	require.NoError(t, err)
	st := theGuest(t, client, func(s host.GuestStatus) bool { return s.Violations == 1 && !s.Connected })
	assert.NotEmpty(t, st.LastError)
	assert.Zero(t, st.Bytes, "it got nothing")
	s, err := client.Status(t.Context())
	require.NoError(t, err)
	assert.Zero(t, s.Server.Sessions)
	require.NoError(t, stop())
}

// TestStartFails: whatever step fails, what was opened before it is given back.
func TestStartFails(t *testing.T) {
	noLeaks(t)
	for what, spoil := range map[string]func(c *config.Config){
		"control socket": func(c *config.Config) { c.Control = "/proc/none/control.sock" },
		"listen":         func(c *config.Config) { c.Listen = []string{c.Listen[0], "local:/proc/none/l"} },
		"policy":         func(c *config.Config) { c.Policy = "panic" },
		"modprobe xen-":  func(c *config.Config) { c.Listen = append(c.Listen, "xen:") }, // not run under Xen
		"seed.bytes":     func(c *config.Config) { c.Seed.Bytes = 1 << 20 },
	} {
		dir, err := os.MkdirTemp("/tmp", "xentropyd-test-")
		require.NoError(t, err)
		c := config.UserDefault(dir, dir)
		spoil(&c)
		_, err = newDaemon(c, slog.New(slog.DiscardHandler))
		assert.ErrorContains(t, err, what)
		left, err := filepath.Glob(dir + "/xentropyd/*.sock")
		require.NoError(t, err)
		assert.Empty(t, left, what)
		os.RemoveAll(dir)
	}
}

func TestSourcesSwitchedOff(t *testing.T) {
	noLeaks(t)
	c := config.Default().Sources
	c.Enable = []string{"jitter", "hwrng"}
	c.Disable = []string{"hwrng"}
	found := findSources(c)
	var names []string
	for _, s := range found.present() {
		names = append(names, s.Info().Name)
		s.Close()
	}
	assert.Subset(t, []string{"jitter", "kernel"}, names)
	assert.Contains(t, names, "kernel", "always mixed in")
	for _, s := range found.absent() {
		if s.Name != "jitter" {
			assert.Contains(t, s.LastError, "switched off", s.Name)
		}
	}
}

// TestRefusalsDoNotFloodTheLog: whoever may connect may do so a thousand times
// a second, and hides nobody else's refusals by that.
func TestRefusalsDoNotFloodTheLog(t *testing.T) {
	var log bytes.Buffer
	d := &daemon{log: slog.New(slog.NewTextHandler(&log, nil)), refusals: newRefusals()}
	for range 1000 {
		d.refused(transport.Peer{ID: "local:1000/1", Group: "uid 1000"}, io.ErrUnexpectedEOF)
	}
	d.refused(transport.Peer{ID: "local:1001/1", Group: "uid 1001"}, io.ErrUnexpectedEOF)
	assert.InDelta(t, refusalLines, strings.Count(log.String(), "guest=local:1000/1"), 1)
	assert.Equal(t, 1, strings.Count(log.String(), "guest=local:1001/1"))
	for i := range 100_000 {
		d.refusals.Get(fmt.Sprint("group ", i))
	}
	assert.LessOrEqual(t, d.refusals.Len(), refusalGroups)
}

// TestMoreSessionsThanDescriptors is said at the start, with both numbers.
func TestMoreSessionsThanDescriptors(t *testing.T) {
	have, known := maxDescriptors()
	require.True(t, known)
	var log bytes.Buffer
	d := &daemon{log: slog.New(slog.NewTextHandler(&log, nil))}
	if have < 1<<30 {
		d.warnOfDescriptors(int(have) - ownDescriptors)
		assert.Empty(t, log.String(), "just enough")
		d.warnOfDescriptors(int(have) - ownDescriptors + 1)
		assert.Contains(t, log.String(), fmt.Sprintf("sessions=%d descriptors=%d", int(have)-ownDescriptors+1, have))
	}
}

// TestFramesAreTimed: the arrival of a guest's frame is what the arrivals
// source lives on.
func TestFramesAreTimed(t *testing.T) {
	a := source.NewArrivals()
	d := &daemon{sources: sources{{Info: a.Info(), Source: a}}}
	c := config.Default()
	d.cfg.Store(&c)
	cfg := hostConfig(c, d)
	for range 3 {
		cfg.OnFrame()
	}
	n, err := a.Sample(t.Context(), make([]byte, 64))
	require.NoError(t, err)
	assert.GreaterOrEqual(t, n, 2*a.Info().SampleBytes, "three frames, two differences at least")
}
