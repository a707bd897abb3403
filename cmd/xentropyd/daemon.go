package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/xentropyd/xentropyd/cmd/xentropyd/internal/config"
	"github.com/xentropyd/xentropyd/host"
	"github.com/xentropyd/xentropyd/host/control"
	"github.com/xentropyd/xentropyd/internal/cli"
	"github.com/xentropyd/xentropyd/internal/recent"
	"github.com/xentropyd/xentropyd/internal/rights"
	"github.com/xentropyd/xentropyd/internal/seedfile"
	"github.com/xentropyd/xentropyd/source"
	"github.com/xentropyd/xentropyd/transport"
	"github.com/xentropyd/xentropyd/transport/all"
)

// daemon is everything that run starts.
type daemon struct {
	cfg        atomic.Pointer[config.Config]
	file       string
	fixedLevel bool // the command line set the log level
	log        *slog.Logger
	started    time.Time
	refusals   *recent.Table[string, *rate.Limiter] // of log lines, by group

	control   net.Listener
	rights    control.Rights
	seeds     *seeds
	listeners []transport.Listener
	sources   sources
	entropy   *host.Entropy
	server    *host.Server
}

// newDaemon takes hold of all that can fail: sockets, seed file, sources. On an
// error nothing is left behind.
func newDaemon(c config.Config, log *slog.Logger) (*daemon, error) {
	d := &daemon{log: log, started: time.Now(), refusals: newRefusals()}
	d.cfg.Store(&c)
	if err := d.open(c); err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

func (d *daemon) open(c config.Config) (err error) {
	if d.control, err = control.Listen(c.Control); err != nil {
		return err
	}
	entropy := host.DefaultEntropyConfig()
	entropy.Policy, entropy.Harvester, entropy.Log = c.Policy, []source.Option{source.WithAlpha(c.Sources.Alpha)}, d.log
	if c.SeedFile != "" {
		if d.seeds, err = openSeeds(c.SeedFile, seedfile.Open, d.log); err != nil {
			return err
		}
		entropy.Seeds = d.seeds
	}
	guests, err := rights.Parse(c.Rights.Guest)
	if err != nil {
		return fmt.Errorf("right to be a guest: %w", err)
	}
	if d.rights, err = controlRights(c.Rights); err != nil {
		return err
	}
	d.warnOfDescriptors(c.Limits.Sessions)
	mode, err := c.Mode()
	if err != nil {
		return fmt.Errorf("socket mode: %w", err)
	}
	d.sources = findSources(c.Sources)
	entropy.Sources = d.sources.present()
	if d.entropy, err = host.NewEntropy(entropy); err != nil {
		return err
	}
	if d.server, err = host.NewServer(d.entropy, hostConfig(c, d)); err != nil {
		return err
	}
	return d.listen(c, mode, guests)
}

// listen takes guests at each address.
func (d *daemon) listen(c config.Config, mode fs.FileMode, guests rights.List) error {
	for _, address := range c.Listen {
		opts := transport.ListenOptions{
			Mode: mode, Rate: c.Limits.NewSessionsPerSecond, Burst: 2 * c.Limits.SessionsPerGroup,
			Held:    4 * c.Limits.SessionsPerGroup,
			Refused: d.refused, Instance: d.server.Status().Instance, Config: c.Table(address), Log: d.log,
		}
		if !guests.Everybody() {
			opts.Allow = guests.Allows
		}
		l, err := all.Carriers.Listen(address, opts)
		if err != nil {
			return err
		}
		d.listeners = append(d.listeners, l)
	}
	return nil
}

// domains says who is there beside us, nil where nobody looks for guests.
func (d *daemon) domains() []transport.Domain {
	var list []transport.Domain
	for _, l := range d.listeners {
		if f, ok := l.(transport.Finder); ok {
			list = append(list, f.Domains()...)
		}
	}
	return list
}

func controlRights(c config.Rights) (r control.Rights, err error) {
	if r.Look, err = rights.Parse(c.Look); err != nil {
		return r, fmt.Errorf("right to look: %w", err)
	}
	if r.Change, err = rights.Parse(c.Change); err != nil {
		return r, fmt.Errorf("right to change something: %w", err)
	}
	return r, nil
}

// warnOfDescriptors says if the process cannot have as many sessions as it is
// told to.
func (d *daemon) warnOfDescriptors(sessions int) {
	if have, known := maxDescriptors(); known && have < uint64(sessions+ownDescriptors) {
		d.log.Warn("more sessions are configured than this process may have descriptors; raise the limit "+
			"(LimitNOFILE in the unit, ulimit -Hn) or lower sessions",
			"sessions", sessions, "descriptors", have, "wanted", sessions+ownDescriptors)
	}
}

// ownDescriptors is what the daemon needs beside one for each session: control
// connections, sources, sessions that are ending or being refused, xenstore and
// the devices of Xen.
const ownDescriptors = 256

// close gives everything back that run would have.
func (d *daemon) close() error {
	var errs []error
	for _, l := range d.listeners {
		errs = append(errs, l.Close())
	}
	for _, s := range d.sources.present() {
		errs = append(errs, s.Close())
	}
	if d.seeds != nil {
		errs = append(errs, d.seeds.Close())
	}
	if d.control != nil {
		errs = append(errs, d.control.Close())
	}
	return errors.Join(errs...)
}

// run serves until ctx ends or something fails for good. It ends in order:
// first the guests, who are told, then the harvest, which keeps a last seed,
// then the control API.
func (d *daemon) run(ctx context.Context) error {
	c := d.cfg.Load()
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, hangup...)
	defer signal.Stop(hangups)
	failed := make(chan error, 4+len(d.listeners))
	stage := func(run func(context.Context, *sync.WaitGroup)) (stop func()) {
		stageCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		var wg sync.WaitGroup
		run(stageCtx, &wg)
		return func() { cancel(); wg.Wait() }
	}
	watch := func(wg *sync.WaitGroup, f func() error) {
		wg.Go(func() {
			if err := f(); err != nil {
				failed <- err
			}
		})
	}
	stopControl := stage(func(ctx context.Context, wg *sync.WaitGroup) {
		watch(wg, func() error {
			return control.Serve(ctx, d.control, control.Config{
				Version: cli.Version(), PID: os.Getpid(), Started: d.started, Listen: c.Listen,
				Absent: d.sources.absent(), Entropy: d.entropy, Server: d.server, Domains: d.domains,
				Rights: d.rights, Log: d.log,
			})
		})
	})
	stopEntropy := stage(func(ctx context.Context, wg *sync.WaitGroup) {
		watch(wg, func() error { return d.entropy.Run(ctx) })
		wg.Go(func() { d.sayIfNothingCounts(ctx) })
	})
	stopServer := stage(func(ctx context.Context, wg *sync.WaitGroup) {
		watch(wg, func() error { return d.server.Run(ctx) })
		for _, l := range d.listeners {
			watch(wg, func() error { return d.server.Serve(ctx, l) })
		}
		wg.Go(func() { d.tellSystemd(ctx) })
		wg.Go(func() { d.reloadOnHangup(ctx, hangups) })
	})
	d.log.Info("serving", "listen", c.Listen, "control", c.Control, "pid", os.Getpid())

	var err error
	select {
	case <-ctx.Done():
		d.log.Info("stopping", "reason", context.Cause(ctx))
	case err = <-failed:
		d.log.Error("stopping", "error", err)
	}
	d.sayStopping()
	stopServer()
	stopEntropy()
	stopControl()
	if d.seeds != nil {
		err = errors.Join(err, d.seeds.Close())
	}
	close(failed)
	for e := range failed {
		err = errors.Join(err, e)
	}
	return err
}
