package main

import (
	"golang.org/x/time/rate"

	"github.com/xentropyd/xentropyd/cmd/xentropyd/internal/config"
	"github.com/xentropyd/xentropyd/host"
	"github.com/xentropyd/xentropyd/internal/recent"
	"github.com/xentropyd/xentropyd/transport"
)

// hostConfig says in the host's terms what the file says. Budgets are looked up
// when a guest first comes, so that they can be reloaded.
func hostConfig(c config.Config, d *daemon) host.Config {
	h := c.Host()
	h.BudgetFor = func(p transport.Peer) (host.Budget, string) { return d.cfg.Load().BudgetFor(p) }
	h.OnFrame, h.Log = d.sources.arrival, d.log
	return h
}

const (
	refusalGroups = 256 // that have a limit of their own on lines about refusals
	refusalLines  = 5   // at once
	refusalRate   = 0.2 // then, in lines a second
)

func newRefusals() *recent.Table[string, *rate.Limiter] {
	return recent.New[string](refusalGroups, func() *rate.Limiter { return rate.NewLimiter(refusalRate, refusalLines) })
}

// refused logs a guest that a carrier turned away. A process can come again as
// fast as it likes, so only a few of a group's make a line.
func (d *daemon) refused(p transport.Peer, err error) {
	if d.refusals.Get(p.Group).Allow() {
		d.log.Warn("guest turned away; of many at once only some are logged", "guest", p.ID,
			"name", p.Name, "error", err)
	}
}
