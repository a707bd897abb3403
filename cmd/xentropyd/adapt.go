package main

import (
	"golang.org/x/time/rate"

	"github.com/xentropyd/xentropyd/host"
	"github.com/xentropyd/xentropyd/internal/config"
	"github.com/xentropyd/xentropyd/internal/recent"
	"github.com/xentropyd/xentropyd/transport"
)

// hostConfig says in the host's terms what the file says. Budgets are looked up when a guest first comes, so that they can be reloaded.
func hostConfig(c config.Config, d *daemon) host.Config {
	return host.Config{
		Budget: hostBudget(c.Budget),
		BudgetFor: func(p transport.Peer) (host.Budget, string) {
			name := p.Name
			if p.OwnName {
				name = "" // a process chooses its name itself
			}
			b, pattern := d.cfg.Load().BudgetFor(p.ID, name)
			return hostBudget(b), pattern
		},
		SeedBytes:     c.Seed.Bytes,
		SeedInterval:  c.Seed.Interval.Duration,
		SeedJitter:    max(c.Seed.Jitter, noJitter),
		KeepAlive:     c.Times.KeepAlive.Duration,
		HandshakeTime: c.Times.Handshake.Duration,
		WriteTime:     c.Times.Write.Duration,
		MaxSessions:   c.Limits.Sessions,
		MaxPerGroup:   c.Limits.SessionsPerGroup,
		MaxPerGuest:   c.Limits.SessionsPerGuest,
		SessionRate:   c.Limits.NewSessionsPerSecond,
		FrameRate:     c.Limits.FramesPerSecond,
		CPUShare:      c.Limits.CPUShare,
		NoVersion1:    !c.Protocol1,
		OnFrame:       d.sources.arrival,
		Log:           d.log,
	}
}

const (
	refusalGroups = 256 // that have a limit of their own on lines about refusals
	refusalLines  = 5   // at once
	refusalRate   = 0.2 // then, in lines a second
)

func newRefusals() *recent.Table[string, *rate.Limiter] {
	return recent.New[string](refusalGroups, func() *rate.Limiter { return rate.NewLimiter(refusalRate, refusalLines) })
}

// refused logs a guest that a carrier turned away. A process can come again as fast as it likes, so only a few of a group's make a line.
func (d *daemon) refused(p transport.Peer, err error) {
	if d.refusals.Get(p.Group).Allow() {
		d.log.Warn("guest turned away; of many at once only some are logged", "guest", p.ID, "name", p.Name, "error", err)
	}
}

// noJitter stands for a jitter of 0, which the host would take as "not given".
const noJitter = 1e-9

func hostBudget(b config.Budget) host.Budget {
	return host.Budget{Bytes: b.Bytes, Period: b.Period.Duration}
}
