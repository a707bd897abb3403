package main

import (
	"context"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
)

// readyWait is how long a start is held up for the first seed, and the boot
// with it. Its noise is gathered in milliseconds where there is any.
const readyWait = 10 * time.Second

// tellSystemd says READY once the host is seeded, which is when it serves, or
// after readyWait, and then feeds the watchdog for as long as entropy and
// server still answer. Without systemd it does nothing (sd_notify(3)).
func (d *daemon) tellSystemd(ctx context.Context) {
	seeded := d.entropy.Ready()
	switch awaitSeed(ctx, seeded) {
	case notSeeded:
		d.log.Warn("not seeded yet; the service manager is told to go on", "waited", readyWait)
		d.notify(sd.SdNotifyReady + "\nSTATUS=not seeded yet: gathering noise")
	case isSeeded:
		d.notify(sd.SdNotifyReady + "\n" + statusSeeded)
		seeded = nil // said
	case stopped:
		return
	}
	var tick <-chan time.Time
	if period, err := sd.SdWatchdogEnabled(false); err == nil && period > 0 {
		t := time.NewTicker(period / 3)
		defer t.Stop()
		tick = t.C
	}
	for {
		select {
		case <-seeded:
			d.notify(statusSeeded)
			seeded = nil
		case <-tick:
			d.entropy.Status() // each takes the locks that a deadlock would hold
			d.server.Status()
			d.notify(sd.SdNotifyWatchdog)
		case <-ctx.Done():
			return
		}
	}
}

const statusSeeded = "STATUS=seeded and serving"

type seedState int

const (
	isSeeded seedState = iota
	notSeeded
	stopped
)

// awaitSeed waits for the first seed, but not for ever.
func awaitSeed(ctx context.Context, seeded <-chan struct{}) seedState {
	late := time.NewTimer(readyWait)
	defer late.Stop()
	select {
	case <-seeded:
		return isSeeded
	case <-late.C:
		return notSeeded
	case <-ctx.Done():
		return stopped
	}
}

func (d *daemon) sayStopping() { d.notify(sd.SdNotifyStopping) }

func (d *daemon) notify(state string) {
	if _, err := sd.SdNotify(false, state); err != nil {
		d.log.Debug("service manager not told", "error", err)
	}
}
