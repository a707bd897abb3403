package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/cmd/xentropyd/internal/config"
	"github.com/xentropyd/xentropyd/host"
	"github.com/xentropyd/xentropyd/internal/cli"
	"github.com/xentropyd/xentropyd/transport"
)

func TestReload(t *testing.T) {
	before := cli.Level.Level()
	defer cli.Level.Set(before)
	file := filepath.Join(t.TempDir(), "x.toml")
	write := func(text string) { require.NoError(t, os.WriteFile(file, []byte(text), 0o600)) }
	var log bytes.Buffer
	d := &daemon{file: file, log: slog.New(slog.NewTextHandler(&log, nil))}
	c := config.Default()
	d.cfg.Store(&c)
	budgetOf := hostConfig(c, d).BudgetFor
	said := func() string { defer log.Reset(); return log.String() }

	write("log_level = 'error'\n[budget]\nbytes = 2048\n[[guest]]\nmatch = 'web'\nperiod = '1s'")
	d.reload()
	assert.Equal(t, slog.LevelError, cli.Level.Level())
	b, name := budgetOf(transport.Peer{ID: "local:0/1", Name: "init"})
	assert.Empty(t, name, "the common budget")
	assert.Equal(t, host.Budget{Bytes: 2048, Period: time.Minute}, b)
	b, name = budgetOf(transport.Peer{ID: "a domain", Name: "web", Carrier: "vchan"})
	assert.Equal(t, "web", name)
	assert.Equal(t, host.Budget{Bytes: 2048, Period: time.Second}, b)
	_, name = budgetOf(transport.Peer{ID: "local:0/2", Name: "web", Carrier: "local", OwnName: true})
	assert.Empty(t, name, "a process chooses its name itself")
	assert.NotContains(t, said(), "restart")

	write("log_level = 'warn'\npolicy = 'stop'\n[limits]\nsessions = 7\ncpu_share = 0.5\n[times]\nwrite = '9s'")
	d.fixedLevel = true
	d.reload()
	assert.Equal(t, slog.LevelError, cli.Level.Level(), "the command line wins")
	assert.Equal(t, host.PolicyDegraded, d.cfg.Load().Policy, "takes a restart")
	assert.Contains(t, said(), `other changes, which take a restart" keys="policy, times.write, limits.sessions, limits.cpu_share"`)

	write("policy = 'panic'\n[budget]\nbytes = 4096")
	d.reload()
	assert.Equal(t, 1024, d.cfg.Load().Budget.Bytes, "a bad file changes nothing")
	assert.Contains(t, said(), "not reloaded; the old one stays")

	d.file = ""
	d.reload()
	assert.Contains(t, said(), "nothing to reload")
}
