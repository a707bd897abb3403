package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/xentropyd/xentropyd/guest"
	"github.com/xentropyd/xentropyd/transport"
)

// When one seed was not enough for the kernel, at most maxTopUps more are asked
// for, and each is waited for at most topUpTime.
const (
	maxTopUps = 8
	topUpTime = 5 * time.Second
)

// redialMost is the longest pause between two dials on Xen. A dial waits for
// the host there: only what is the guest's own affair makes it fail.
const redialMost = 5 * time.Second

// reportLag is how late the status file may be, and on Xen the log. A machine
// that was just restored or booted has better things to do than to write them,
// with one CPU and its caches cold. Only the first time that systemd is told of
// does not wait (sayReady).
const reportLag = 500 * time.Millisecond

// follower is one run:
//
//	dialling ─> seeded by the host ─> told systemd ─> each seed is reported ─> stopped
//	                  │ --once: acknowledged? ──────────────────────────────────^
type follower struct {
	address, label string
	dial           transport.Dialer
	kernel         guest.Target // nil: a dry run
	ready          func() bool  // the kernel's generator is seeded
	once           bool
	protocol1      bool
	patient        bool          // dial waits for the host
	wait           time.Duration // 0: for ever
	file           *statusFile   // nil: none
	lag            time.Duration // from a change to its being in the file
	tell           func(state string)
	log            *slog.Logger

	mu      sync.Mutex
	latest  guest.Status
	changed chan struct{} // of capacity 1: latest did

	said       string // what systemd was told last: that we are ready, and how; "" before
	writeFails bool
	topUps     int
	topped     uint64 // the kernel's seeds when one more was last asked for
}

// follow returns nil when ctx ends, with once when a seed was acknowledged.
func (f *follower) follow(ctx context.Context) error {
	f.changed = make(chan struct{}, 1)
	work, stop := context.WithCancel(ctx)
	type opening struct {
		g   *guest.Guest
		err error
	}
	opened := make(chan opening, 1)
	dial, absent := f.watchDial()
	go func() {
		g, err := guest.Open(work, dial, f.options())
		opened <- opening{g, err}
	}()
	var g *guest.Guest
	opens := (<-chan opening)(opened) // nil once it has given something
	defer func() {
		f.tell(daemon.SdNotifyStopping)
		stop()
		if opens != nil {
			g = (<-opens).g
		}
		if g != nil {
			g.Close()
			s := g.Status()
			s.Host.Connected = false
			f.note(s)
		}
		f.report()
	}()
	var late <-chan time.Time
	if f.wait > 0 {
		t := time.NewTimer(f.wait)
		defer t.Stop()
		late = t.C
	}
	var due <-chan time.Time // for a report of what has changed
	f.log.Info("following the host", "host", f.address, "dry_run", f.kernel == nil)
	for {
		select {
		case o := <-opens:
			g, opens = o.g, nil
			if ctx.Err() != nil {
				continue
			}
			if o.err != nil {
				return o.err
			}
			f.wake() // what came before could not be acted on
			if s := g.Status(); s.Host.Seeds == 0 && f.said != noHost {
				f.log.Warn("no seed from the host yet; going on trying", "host", f.address, "error", s.Host.LastError)
			}
		case <-f.changed:
			if done, err := f.advance(ctx, g); done {
				return err // and report at the end
			}
			if due == nil {
				due = time.After(f.lag)
			}
		case <-due:
			due = nil
			f.report()
		case <-late:
			if f.once {
				return f.unseeded(fmt.Errorf("no seed was used and acknowledged within %v", f.wait))
			}
			if f.said == "" {
				f.log.Warn("no seed yet; the service manager is told to go on without", "waited", f.wait)
				f.sayReady(noSeed)
			}
		case <-absent:
			absent = nil
			if f.said == "" && f.wait > 0 && !f.once {
				f.log.Info("no host here; going on trying, and the service manager is told not to wait",
					"host", f.address)
				f.sayReady(noHost)
			}
		case <-ctx.Done():
			if f.once {
				return f.unseeded(context.Cause(ctx))
			}
			return nil
		}
	}
}

// unseeded says why a run with once ends without a seed.
func (f *follower) unseeded(err error) error {
	s := f.state()
	if s.Host.LastError != "" {
		err = fmt.Errorf("%w: %s", err, s.Host.LastError)
	}
	return hostHint(f.address, fmt.Errorf("wait for a seed from %s: %w", f.address, err))
}

func (f *follower) options() guest.Options {
	o := guest.Options{Label: f.label, Log: f.log, Notify: f.note, Protocol1: f.protocol1, Kernel: f.kernel}
	if f.patient {
		o.MaxPause = redialMost
	}
	return o
}

// note takes the guest's new status.
func (f *follower) note(s guest.Status) {
	f.mu.Lock()
	f.latest = s
	f.mu.Unlock()
	f.wake()
}

func (f *follower) wake() {
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

func (f *follower) state() guest.Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.latest
}

// report writes the status file. A failure is logged once, until it works
// again.
func (f *follower) report() {
	if f.file == nil {
		return
	}
	err := f.file.write(f.state())
	if err != nil && !f.writeFails {
		f.log.Warn("status file not written", "error", err)
	}
	f.writeFails = err != nil
}

// advance does what follows from the status: it tells systemd, asks for more,
// or says that the run is done.
func (f *follower) advance(ctx context.Context, g *guest.Guest) (done bool, err error) {
	s := f.state()
	acknowledged := s.Host.Acknowledged > 0 || f.protocol1 && s.Host.Seeds > 0 // protocol 1 knows no acknowledgement
	if f.once && acknowledged && s.Kernel.Failures > 0 && s.Kernel.Seeds == 0 {
		return true, fmt.Errorf("feed the kernel: %s", s.Kernel.LastFailure)
	}
	seeded := s.Host.Seeds > 0
	if f.kernel != nil {
		seeded = s.Kernel.Seeds > 0
	}
	if !seeded {
		return false, nil
	}
	if f.kernel != nil && !f.ready() {
		f.topUp(ctx, g, s.Kernel.Seeds)
		return false, nil
	}
	f.sayReady(seededNow)
	return f.once && acknowledged, nil
}

// topUp asks for one more seed. Kernels before 5.18 credit less than they are
// told, so that one may not be enough.
func (f *follower) topUp(ctx context.Context, g *guest.Guest, seeds uint64) {
	if g == nil || f.topped == seeds || f.topUps == maxTopUps {
		return
	}
	f.topped = seeds
	f.topUps++
	ctx, cancel := context.WithTimeout(ctx, topUpTime)
	defer cancel()
	if err := g.Refresh(ctx); err != nil {
		f.log.Info("the kernel wants more than one seed; waiting for the host's next", "error", err)
	}
}

// What systemd is told.
const (
	seededNow = "seeded"
	noSeed    = "no seed yet"
	noHost    = "no host here yet"
)

// sayReady tells systemd that the start is over, once, and how it stands
// whenever that changes. What is started after this service may ask status at
// once: the file says by then what systemd is told.
func (f *follower) sayReady(status string) {
	state := "STATUS=" + status
	switch f.said {
	case status:
		return
	case "":
		state = daemon.SdNotifyReady + "\n" + state
		f.report()
	}
	f.said = status
	f.tell(state)
	if f.kernel != nil && status == seededNow {
		f.log.Info("kernel's generator", "state", status)
	}
}

// watchDial is dial, and a channel that is closed when a dial found nobody
// there. On Xen a dial waits for the host instead.
func (f *follower) watchDial() (transport.Dialer, <-chan struct{}) {
	absent := make(chan struct{})
	say := sync.OnceFunc(func() { close(absent) })
	return func(ctx context.Context) (transport.Conn, error) {
		c, err := f.dial(ctx)
		if err != nil && !f.patient && nobodyServes(err) {
			say()
		}
		return c, err
	}, absent
}
