package main

import (
	"context"
	"os"
	"strings"

	"github.com/xentropyd/xentropyd/cmd/xentropyd/internal/config"
	"github.com/xentropyd/xentropyd/internal/cli"
)

// reloadOnHangup reads the configuration again at each SIGHUP, and looks again
// for noise sources that are absent.
func (d *daemon) reloadOnHangup(ctx context.Context, hangup <-chan os.Signal) {
	for {
		select {
		case <-hangup:
			d.reload()
			d.entropy.Look()
		case <-ctx.Done():
			return
		}
	}
}

// reload takes over the log level and the budgets, the latter for guests that
// come for the first time from now on. A file that is not good changes nothing.
func (d *daemon) reload() {
	if d.file == "" {
		d.log.Warn("nothing to reload: there is no configuration file")
		return
	}
	c, err := loadConfig(d.file)
	if err != nil {
		d.log.Error("configuration not reloaded; the old one stays", "error", err)
		return
	}
	next := *d.cfg.Load()
	next.LogLevel, next.Budget, next.Guests = c.LogLevel, c.Budget, c.Guests
	if level, err := cli.ParseLevel(c.LogLevel); err == nil && !d.fixedLevel {
		cli.Level.Set(level)
	}
	d.cfg.Store(&next)
	d.log.Info("log level and budgets reloaded; guests known already keep their budgets", "log_level", c.LogLevel)
	if keys := config.Differences(next, c); len(keys) > 0 {
		d.log.Warn("the configuration has other changes, which take a restart", "keys", strings.Join(keys, ", "))
	}
}
