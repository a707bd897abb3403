package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/guest/kernelrng"
	"github.com/xentropyd/xentropyd/internal/cli"
	"github.com/xentropyd/xentropyd/protocol"
	"github.com/xentropyd/xentropyd/transport"
)

// patience bounds what must happen at some time.
const patience = 2 * time.Minute

// systemd records what it is told.
type systemd struct {
	mu   sync.Mutex
	said []string
}

func (s *systemd) tell(state string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.said = append(s.said, state)
}

func (s *systemd) heard() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.said...)
}

const (
	readySeeded = "READY=1\nSTATUS=seeded"
	readyLate   = "READY=1\nSTATUS=no seed yet"
	readyAlone  = "READY=1\nSTATUS=no host here yet"
	seededLater = "STATUS=seeded"
	stopping    = "STOPPING=1"
)

// scene is a follower with a fake kernel before a real host in one process.
type scene struct {
	*follower
	drawer  *drawer
	host    *testHost
	kernel  *kernelrng.Fake
	systemd *systemd
	ready   atomic.Bool
	ended   chan error
	cancel  context.CancelFunc
}

func newScene(t *testing.T) *scene {
	t.Helper()
	before := runtime.NumGoroutine()
	p := newPipes()
	sc := &scene{drawer: newDrawer(), kernel: new(kernelrng.Fake), systemd: new(systemd)}
	var err error
	sc.host, err = startHost(p, sc.drawer)
	require.NoError(t, err)
	sc.ready.Store(true)
	sc.follower = &follower{
		address: "pipe:", label: "scene", dial: p.dial, kernel: sc.kernel, ready: sc.ready.Load, tell: sc.systemd.tell,
		log:  slog.New(slog.DiscardHandler),
		file: newStatusFile(filepath.Join(t.TempDir(), "run", "status.json"), "pipe:", "scene", false),
	}
	t.Cleanup(func() {
		sc.host.stop()
		few := func() bool { return runtime.NumGoroutine() <= before+1 } // one is Eventually's own
		assert.Eventually(t, few, patience, time.Millisecond, "goroutines stay")
	})
	return sc
}

func (sc *scene) start() {
	ctx, cancel := context.WithCancel(context.Background())
	sc.cancel, sc.ended = cancel, make(chan error, 1)
	go func() { sc.ended <- sc.follow(ctx) }()
}

func (sc *scene) end(t *testing.T) error {
	t.Helper()
	select {
	case err := <-sc.ended:
		return err
	case <-time.After(patience):
		require.Fail(t, "follow does not end")
		return nil
	}
}

func (sc *scene) eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	require.Eventually(t, f, patience, time.Millisecond, what)
}

func (sc *scene) acknowledged() uint64 {
	for _, g := range sc.host.Status().Guests {
		return g.KernelAcknowledged
	}
	return 0
}

func TestFollowSeedsTheKernel(t *testing.T) {
	sc := newScene(t)
	sc.start()
	sc.eventually(t, "acknowledged", func() bool { return sc.acknowledged() == 1 })
	sc.eventually(t, "ready", func() bool { return len(sc.systemd.heard()) == 1 })
	seeds, bits := sc.kernel.Taken()
	assert.Equal(t, 1, seeds)
	assert.Equal(t, 256, bits)

	sc.host.NewGeneration()
	sc.eventually(t, "the new generation's seed", func() bool { return sc.acknowledged() == 2 })
	sc.eventually(t, "reported", func() bool {
		r, err := readReport(sc.file.path)
		if err != nil {
			return false
		}
		h := r.Guest.Host
		return h.Acknowledged == 2 && r.Guest.Kernel.Seeds == 2 && h.Generations == 1 && h.Connected
	})

	sc.cancel()
	require.NoError(t, sc.end(t))
	assert.Equal(t, []string{readySeeded, stopping}, sc.systemd.heard())
	r, err := readReport(sc.file.path)
	require.NoError(t, err)
	assert.False(t, r.Guest.Host.Connected)
	assert.Equal(t, "scene", r.Label)
}

// TestReportIsThereWhenReady has a status asked for as soon as systemd was
// told.
func TestReportIsThereWhenReady(t *testing.T) {
	sc := newScene(t)
	sc.lag = time.Hour
	at := make(chan *report, 1)
	tell := sc.tell
	sc.tell = func(state string) {
		if state == readySeeded {
			r, err := readReport(sc.file.path)
			assert.NoError(t, err)
			at <- r
		}
		tell(state)
	}
	sc.start()
	select {
	case r := <-at:
		require.NotNil(t, r)
		exit, why := r.standing(kernelStatus{Ready: true})
		assert.Equal(t, cli.ExitOK, exit, why)
	case <-time.After(patience):
		require.Fail(t, "never ready")
	}
	sc.cancel()
	require.NoError(t, sc.end(t))
}

func TestFollowOnce(t *testing.T) {
	sc := newScene(t)
	sc.once = true
	sc.start()
	require.NoError(t, sc.end(t))
	// The acknowledgement was sent before follow ended: the host sees it,
	// though the channel is closed.
	sc.eventually(t, "acknowledged", func() bool { return sc.acknowledged() == 1 })
	assert.Equal(t, []string{readySeeded, stopping}, sc.systemd.heard())
}

// TestFollowOnceProtocol1 has a host that acknowledges nothing.
func TestFollowOnceProtocol1(t *testing.T) {
	sc := newScene(t)
	sc.once, sc.protocol1 = true, true
	sc.start()
	require.NoError(t, sc.end(t))
	seeds, bits := sc.kernel.Taken()
	assert.NotZero(t, seeds)
	assert.Zero(t, bits, "protocol 1 knows no credit")
	assert.Zero(t, sc.acknowledged())
}

// TestFollowPatiently has a dial that waits for its host.
func TestFollowPatiently(t *testing.T) {
	sc := newScene(t)
	sc.patient = true
	dial, limited := sc.dial, make(chan bool, 1)
	sc.dial = func(ctx context.Context) (transport.Conn, error) {
		_, is := ctx.Deadline()
		select {
		case limited <- is:
		default:
		}
		return dial(ctx)
	}
	sc.start()
	assert.False(t, <-limited)
	sc.eventually(t, "acknowledged", func() bool { return sc.acknowledged() == 1 })
	sc.cancel()
	require.NoError(t, sc.end(t))

	// One that waits for a host that never comes ends with the run.
	sc = newScene(t)
	sc.patient = true
	waiting := make(chan struct{}, 1)
	sc.dial = func(ctx context.Context) (transport.Conn, error) {
		waiting <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}
	sc.start()
	<-waiting
	sc.cancel()
	require.NoError(t, sc.end(t))
}

// lateAck is a channel on which an acknowledgement takes longer than a closing
// guest waits.
type lateAck struct {
	transport.Conn
	closed chan struct{}
	close  func()
}

func (c *lateAck) Write(p []byte) (int, error) {
	if protocol.Type(p[0]) == protocol.TypeAck {
		select {
		case <-time.After(700 * time.Millisecond):
		case <-c.closed:
		}
	}
	return c.Conn.Write(p)
}

func (c *lateAck) Close() error {
	c.close()
	return c.Conn.Close()
}

func TestFollowOnceWaitsForItsAcknowledgement(t *testing.T) {
	sc := newScene(t)
	sc.once = true
	inner := sc.dial
	sc.dial = func(ctx context.Context) (transport.Conn, error) {
		c, err := inner(ctx)
		if err != nil {
			return nil, err
		}
		closed := make(chan struct{})
		return &lateAck{c, closed, sync.OnceFunc(func() { close(closed) })}, nil
	}
	sc.start()
	require.NoError(t, sc.end(t))
	sc.eventually(t, "acknowledged", func() bool { return sc.acknowledged() == 1 })
}

func TestFollowOnceKernelFails(t *testing.T) {
	sc := newScene(t)
	sc.once = true
	sc.kernel.Fail(errors.New("out of order"))
	sc.start()
	require.EqualError(t, sc.end(t), "feed the kernel: out of order")
	assert.Equal(t, []string{stopping}, sc.systemd.heard(), "never ready")
	sc.eventually(t, "the host knows", func() bool {
		g := sc.host.Status().Guests
		return len(g) == 1 && g[0].Failures == 1 && g[0].LastFailure == "kernel: out of order"
	})
}

// TestFollowReportsTheLastFeed: what failed once and then worked has not
// failed.
func TestFollowReportsTheLastFeed(t *testing.T) {
	sc := newScene(t)
	failed := func(want bool) func() bool {
		return func() bool {
			r, err := readReport(sc.file.path)
			return err == nil && r.Guest.Host.Seeds > 0 && r.Guest.Kernel.Fed != want
		}
	}
	sc.kernel.Fail(errors.New("out of order"))
	sc.start()
	sc.eventually(t, "reported", failed(true))
	sc.kernel.Fail(nil)
	sc.host.NewGeneration()
	sc.eventually(t, "mended", failed(false))
	sc.cancel()
	require.NoError(t, sc.end(t))
	sc.file.close()
}

func TestFollowOnceGivesUp(t *testing.T) {
	sc := newScene(t)
	sc.drawer.unseeded.Store(true)
	sc.once, sc.wait = true, 50*time.Millisecond
	sc.start()
	require.ErrorContains(t, sc.end(t), "no seed was used and acknowledged within 50ms")
	assert.Equal(t, []string{stopping}, sc.systemd.heard())
}

func TestFollowLetsTheBootGoOn(t *testing.T) {
	sc := newScene(t)
	sc.drawer.unseeded.Store(true)
	sc.wait = 20 * time.Millisecond
	sc.start()
	sc.eventually(t, "told", func() bool { return len(sc.systemd.heard()) == 1 })
	assert.Equal(t, []string{readyLate}, sc.systemd.heard())
	sc.drawer.unseeded.Store(false) // and the host, seeded at last, still gets through
	sc.eventually(t, "acknowledged", func() bool { return sc.acknowledged() == 1 })
	sc.eventually(t, "told again", func() bool { return len(sc.systemd.heard()) == 2 })
	sc.cancel()
	require.NoError(t, sc.end(t))
	assert.Equal(t, []string{readyLate, seededLater, stopping}, sc.systemd.heard())
}

// A machine with no host at all loses no second, however long --wait is.
func TestFollowHoldsNobodyUpWithoutAHost(t *testing.T) {
	for name, missing := range map[string]error{
		"no socket": fs.ErrNotExist, "a socket left behind": syscall.ECONNREFUSED,
	} {
		t.Run(name, func(t *testing.T) {
			sc := newScene(t)
			sc.wait = time.Hour
			var log lines
			sc.log = slog.New(slog.NewTextHandler(&log, nil))
			var there atomic.Bool
			dial := sc.dial
			sc.dial = func(ctx context.Context) (transport.Conn, error) {
				if !there.Load() {
					return nil, fmt.Errorf("dial: %w", missing)
				}
				return dial(ctx)
			}
			sc.start()
			sc.eventually(t, "told", func() bool { return len(sc.systemd.heard()) == 1 })
			there.Store(true)
			sc.eventually(t, "acknowledged", func() bool { return sc.acknowledged() == 1 })
			sc.eventually(t, "told again", func() bool { return len(sc.systemd.heard()) == 2 })
			sc.cancel()
			require.NoError(t, sc.end(t))
			assert.Equal(t, []string{readyAlone, seededLater, stopping}, sc.systemd.heard())
			assert.Equal(t, 1, strings.Count(log.String(), "no host here"))
		})
	}
}

// Who asked for a seed waits for it: without --wait for ever, with --once for
// that long.
func TestFollowWaitsForAHostWhenToldTo(t *testing.T) {
	sc := newScene(t)
	dialled := make(chan bool, 100)
	sc.dial = func(context.Context) (transport.Conn, error) {
		select {
		case dialled <- true:
		default:
		}
		return nil, fs.ErrNotExist
	}
	sc.start()
	<-dialled
	<-dialled // what the first one said has been heard, or never is
	assert.Empty(t, sc.systemd.heard())
	sc.cancel()
	require.NoError(t, sc.end(t))
	assert.Equal(t, []string{stopping}, sc.systemd.heard())

	sc = newScene(t)
	sc.once, sc.wait = true, 50*time.Millisecond
	sc.dial = func(context.Context) (transport.Conn, error) { return nil, fs.ErrNotExist }
	sc.start()
	require.ErrorContains(t, sc.end(t), "within 50ms")
	assert.Equal(t, []string{stopping}, sc.systemd.heard())
}

// lines is a log that may be read while it is written.
type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// A kernel that credits less than it is told, as before Linux 5.18, wants more
// than one seed.
func TestFollowTopsUp(t *testing.T) {
	sc := newScene(t)
	sc.once = true
	sc.follower.ready = func() bool { seeds, _ := sc.kernel.Taken(); return seeds >= 3 }
	sc.start()
	require.NoError(t, sc.end(t))
	seeds, _ := sc.kernel.Taken()
	assert.Equal(t, 3, seeds)
	assert.Equal(t, []string{readySeeded, stopping}, sc.systemd.heard())
}

// One that is never content does not make us ask for ever.
func TestFollowStopsToppingUp(t *testing.T) {
	sc := newScene(t)
	sc.ready.Store(false)
	sc.start()
	sc.eventually(t, "all further seeds", func() bool { return sc.acknowledged() == 1+maxTopUps })
	sc.host.NewGeneration()
	sc.eventually(t, "the host's own", func() bool { return sc.acknowledged() == 2+maxTopUps })
	sc.cancel()
	require.NoError(t, sc.end(t))
	seeds, _ := sc.kernel.Taken()
	assert.Equal(t, 2+maxTopUps, seeds)
	assert.Equal(t, []string{stopping}, sc.systemd.heard())
}

func TestFollowDryRun(t *testing.T) {
	sc := newScene(t)
	sc.follower.kernel, sc.once = nil, true
	sc.follower.ready = func() bool { t.Error("the kernel is none of a dry run's business"); return false }
	sc.start()
	require.NoError(t, sc.end(t))
	seeds, _ := sc.kernel.Taken()
	assert.Zero(t, seeds)
	assert.Zero(t, sc.acknowledged())
}

func TestFollowHostRestarts(t *testing.T) {
	sc := newScene(t)
	var current atomic.Pointer[pipes]
	p := newPipes()
	current.Store(p)
	sc.dial = func(ctx context.Context) (transport.Conn, error) { return current.Load().dial(ctx) }
	first, err := startHost(p, newDrawer())
	require.NoError(t, err)
	sc.start()
	sc.eventually(t, "a seed", func() bool { seeds, _ := sc.kernel.Taken(); return seeds == 1 })
	first.stop()
	sc.eventually(t, "reported as lost", func() bool {
		r, err := readReport(sc.file.path)
		return err == nil && !r.Guest.Host.Connected && r.Guest.Host.LastError != ""
	})
	p = newPipes()
	second, err := startHost(p, newDrawer())
	require.NoError(t, err)
	current.Store(p)
	sc.eventually(t, "a seed of the second host", func() bool { seeds, _ := sc.kernel.Taken(); return seeds == 2 })
	sc.cancel()
	require.NoError(t, sc.end(t))
	second.stop()
}

func TestFollowStatusFileVanishes(t *testing.T) {
	sc := newScene(t)
	sc.file.path = "/dev/null/status.json" // its directory is no directory
	sc.once = true
	sc.start()
	require.NoError(t, sc.end(t), "the status file is a service to people, not the job")
}
