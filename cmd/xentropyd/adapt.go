package main

import (
	"github.com/xentropyd/xentropyd/host"
	"github.com/xentropyd/xentropyd/internal/config"
	"github.com/xentropyd/xentropyd/transport"
)

// hostListener gives a transport's guests to the host, which knows no transport.
type hostListener struct{ l transport.Listener }

func (h hostListener) Accept() (host.Channel, host.Peer, error) {
	c, p, err := h.l.Accept()
	if err != nil {
		return nil, host.Peer{}, err
	}
	return c, host.Peer(p), nil
}

func (h hostListener) Close() error { return h.l.Close() }

// hostConfig says in the host's terms what the file says. Budgets are looked up when a guest first comes, so that they can be reloaded.
func hostConfig(c config.Config, d *daemon) host.Config {
	return host.Config{
		Budget: hostBudget(c.Budget),
		BudgetFor: func(p host.Peer) (host.Budget, bool) {
			cfg := d.cfg.Load()
			name := p.Name
			if p.Carrier == "local" {
				name = "" // a process chooses its name itself
			}
			b := cfg.BudgetFor(p.ID, name)
			return hostBudget(b), b != cfg.Budget
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

// refused logs a guest that a carrier turned away. A process can come again as fast as it likes, so only a few of them make a line.
func (d *daemon) refused(p transport.Peer, err error) {
	if d.refusals.Allow() {
		d.log.Warn("guest turned away; of many at once only some are logged", "guest", p.ID, "name", p.Name, "error", err)
	}
}

// noJitter stands for a jitter of 0, which the host would take as "not given".
const noJitter = 1e-9

func hostBudget(b config.Budget) host.Budget {
	return host.Budget{Bytes: b.Bytes, Period: b.Period.Duration}
}
