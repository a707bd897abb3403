package main

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/xentropyd/xentropyd/cmd/xentropyd/internal/config"
	"github.com/xentropyd/xentropyd/host"
	"github.com/xentropyd/xentropyd/host/control"
	"github.com/xentropyd/xentropyd/source"
	"github.com/xentropyd/xentropyd/source/sourcetest"
)

// silent is a device that opens and gives nothing.
func silent(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "silent")
	require.NoError(t, unix.Mkfifo(path, 0o600))
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	return path
}

func named(list []source.Status) map[string]source.Status {
	out := map[string]source.Status{}
	for _, s := range list {
		out[s.Name] = s
	}
	return out
}

// TestSourcesThatHang: devices that hang in open or read have their place in
// the list, and take nobody else's.
func TestSourcesThatHang(t *testing.T) {
	path, release := sourcetest.Hang(t)
	noLeaks(t)
	defer release()
	c := config.Default().Sources
	c.HWRNG, c.TPM = config.Paths{path, silent(t), "/nonexistent/hwrng"}, path
	list := try(t.Context(), findSources(c), c.Alpha)
	got := named(list)
	require.Len(t, got, 9)
	for _, name := range []string{"hwrng", "hwrng2", "tpm"} {
		assert.Equal(t, source.StateQuarantined, got[name].State, name)
		assert.Contains(t, got[name].LastError, "no answer for ", name)
	}
	assert.Equal(t, source.StateAbsent, got["hwrng3"].State)
	assert.Equal(t, source.StateHealthy, got["kernel"].State)
	var out bytes.Buffer
	require.NoError(t, printSources(&out, sourcesOutput{Sources: control.Sources{Sources: list}}))
	assert.Regexp(t, `(?m)^hwrng +quarantined `, out.String())
	assert.Regexp(t, `(?m)^kernel +healthy `, out.String())
	assert.Regexp(t, `(?s)\nnot used:.*\n  hwrng3 +/nonexistent/hwrng: there is no such device`, out.String())
	assert.NotContains(t, out.String(), "again in", "nobody does")
}

// TestDaemonWithDevicesThatHang: they keep nobody from being served, are in
// quarantine after the read timeout, and keep the daemon from ending for two
// graces alone.
func TestDaemonWithDevicesThatHang(t *testing.T) {
	if testing.Short() {
		t.Skip("takes the read timeout of 10 s; run it without -short")
	}
	path, release := sourcetest.Hang(t)
	noLeaks(t)
	defer release()
	_, client, stop := inProcess(t, func(c *config.Config) {
		c.Sources.HWRNG, c.Sources.TPM = config.Paths{path}, path
	})
	require.Eventually(t, func() bool {
		s, err := client.Sources(t.Context())
		require.NoError(t, err)
		got := named(s.Sources)
		return got["hwrng"].State == source.StateQuarantined && got["tpm"].State == source.StateQuarantined
	}, 2*time.Minute, 50*time.Millisecond)
	require.NoError(t, stop(), "what they left behind is no failure of the daemon's end")
}

// TestSourcesSwitchedOffByName: the name of the first generator means all of
// them.
func TestSourcesSwitchedOffByName(t *testing.T) {
	c := config.Default().Sources
	c.HWRNG = config.Paths{"/dev/a", "/dev/b"}
	c.Disable = []string{source.NameHWRNG}
	got := named(findSources(c).absent())
	assert.Contains(t, got["hwrng"].LastError, "switched off")
	assert.Contains(t, got["hwrng2"].LastError, "switched off")
}

var errNoDice = source.NotPresent("fake", "no dice", "buy some")

// TestHangupLooksAgain: at a SIGHUP what is absent is looked for at once, with
// a configuration file or without.
func TestHangupLooksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var looks atomic.Int64
		s := sourcetest.New(sourcetest.Info(1, 1), func(context.Context, int) (uint64, error) {
			looks.Add(1)
			return 0, errNoDice
		})
		d, stop := bare(t, slog.New(slog.DiscardHandler), s)
		hangups := make(chan os.Signal)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); d.reloadOnHangup(ctx, hangups) }()
		time.Sleep(100 * time.Second)
		synctest.Wait()
		before := looks.Load()
		hangups <- unix.SIGHUP
		synctest.Wait()
		assert.EqualValues(t, 1, looks.Load()-before)
		cancel()
		<-done
		stop()
	})
}

// bare is a daemon with sources and nothing else, whose entropy runs until
// stop.
func bare(t *testing.T, log *slog.Logger, list ...source.Source) (d *daemon, stop func()) {
	cfg := host.DefaultEntropyConfig()
	cfg.Sources, cfg.Log = list, slog.New(slog.DiscardHandler)
	e, err := host.NewEntropy(cfg)
	require.NoError(t, err)
	d = &daemon{log: log, entropy: e}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	synctest.Wait()
	return d, func() { cancel(); <-done }
}

// TestNothingCounts: it is warned of when each credited source is known to be
// absent, once, and not when one is there though it hangs.
func TestNothingCounts(t *testing.T) {
	plain := sourcetest.Info(1, 1)
	plain.Credited = false
	absent := func() source.Source { return sourcetest.New(sourcetest.Info(1, 1), sourcetest.Fails(errNoDice)) }
	goodPlain := func() source.Source { return sourcetest.New(plain, sourcetest.Good(1)) }
	for name, c := range map[string]struct {
		list []source.Source
		want int
	}{
		"none at all": {nil, 1},
		"all absent":  {[]source.Source{absent(), absent(), goodPlain()}, 1},
		"one is good": {[]source.Source{
			absent(),
			sourcetest.New(sourcetest.Info(1, 1), sourcetest.Good(1)),
		}, 0},
		"one gives no answer": {[]source.Source{
			absent(),
			sourcetest.New(sourcetest.Info(1, 1), sourcetest.Blocking()),
		}, 0},
		"one is absent so far": {[]source.Source{absent(), late()}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				d, stop := bare(t, slog.New(slog.NewTextHandler(&log, nil)), c.list...)
				d.sayIfNothingCounts(t.Context())
				assert.Equal(t, c.want, strings.Count(log.String(), "no noise source that counts"))
				stop()
			})
		})
	}
}

// late needs some seconds to find out that it is absent.
func late() source.Source {
	return sourcetest.New(sourcetest.Info(1, 1), func(ctx context.Context, _ int) (uint64, error) {
		select {
		case <-time.After(4500 * time.Millisecond):
			return 0, errNoDice
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	})
}

// TestStatusSaysWhyASourceIsNotUsed: with the reason, and when it is looked at
// again.
func TestStatusSaysWhyASourceIsNotUsed(t *testing.T) {
	list := []source.Status{
		{Name: "rdrand", State: source.StateHealthy, Healthy: true, LastError: "read source rdrand: of old"},
		{Name: "hwrng", State: source.StateQuarantined, LastError: "read source hwrng: no answer for 10 s"},
		{Name: "tpm", State: source.StateAbsent, LastError: errNoDice.Error(), RetryIn: 12.345},
	}
	var out strings.Builder
	require.NoError(t, printStatus(&out, control.Status{Entropy: host.EntropyStatus{Sources: list}}))
	assert.Contains(t, out.String(), "sources: rdrand, hwrng (quarantined), tpm (absent)")
	assert.Regexp(t, `(?m)^  hwrng +quarantined: read source hwrng: no answer for 10 s$`, out.String())
	assert.Regexp(t, `(?s)\n  tpm +absent: fake: no dice \(buy some\); looked at again in 12 s\n`, out.String())
	assert.NotContains(t, out.String(), "of old")

	out.Reset()
	require.NoError(t, printSources(&out, sourcesOutput{Running: true, Sources: control.Sources{Sources: list}}))
	assert.Regexp(t, `(?s)\nnot used:\n  tpm +fake: no dice \(buy some\); looked at again in 12 s\n`, out.String())
}
