package main

import (
	"context"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
)

// tellSystemd says READY once the host is seeded, which is when it serves, and then feeds the watchdog for as long as entropy and server
// still answer. Without systemd it does nothing (sd_notify(3)).
func (d *daemon) tellSystemd(ctx context.Context) {
	select {
	case <-d.entropy.Ready():
	case <-ctx.Done():
		return
	}
	d.notify(sd.SdNotifyReady + "\nSTATUS=seeded and serving")
	period, err := sd.SdWatchdogEnabled(false)
	if err != nil || period == 0 {
		return
	}
	tick := time.NewTicker(period / 3)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			d.entropy.Status() // each takes the locks that a deadlock would hold
			d.server.Status()
			d.notify(sd.SdNotifyWatchdog)
		case <-ctx.Done():
			return
		}
	}
}

func (d *daemon) sayStopping() { d.notify(sd.SdNotifyStopping) }

func (d *daemon) notify(state string) {
	if _, err := sd.SdNotify(false, state); err != nil {
		d.log.Debug("service manager not told", "error", err)
	}
}
