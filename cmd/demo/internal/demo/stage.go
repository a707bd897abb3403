package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/xentropyd/xentropyd/host/control"
	"github.com/xentropyd/xentropyd/internal/wait"
	"github.com/xentropyd/xentropyd/source"
)

// stage holds what plays: the daemon, the guests and what is known of them.
type stage struct {
	self    string // this program, for the guests
	daemons string // the daemon's program
	setting setting
	spawner *spawner
	client  *control.Client
	began   time.Time
	show    func(Frame)

	mu      sync.Mutex
	daemon  *child // nil while there is none
	state   string // of the daemon, for people
	status  control.Status
	sources []source.Status          // of all daemons, with the absent ones
	earlier map[string]source.Status // counts of daemons that were killed
	guests  []*actor
	blocks  blocks
	events  []Event
}

func newStage(self, daemons string, show func(Frame)) (*stage, error) {
	set, err := newSetting()
	if err != nil {
		return nil, err
	}
	s := &stage{
		self: self, daemons: daemons, setting: set, spawner: newSpawner(), client: control.Dial(set.control),
		began: time.Now(), show: show, earlier: make(map[string]source.Status),
	}
	for i := range guestCount {
		s.guests = append(s.guests, &actor{name: fmt.Sprintf("guest-%d", i+1)})
	}
	return s, nil
}

// clear ends every process that was started and removes the directory.
func (s *stage) clear() error {
	s.mu.Lock()
	children := []*child{s.daemon}
	for _, a := range s.guests {
		children = append(children, a.child)
	}
	s.mu.Unlock()
	// The guests first: they say goodbye to the daemon.
	var wg sync.WaitGroup
	for _, c := range children[1:] {
		if c != nil {
			wg.Go(c.stop)
		}
	}
	wg.Wait()
	if children[0] != nil {
		children[0].stop()
	}
	s.spawner.close()
	return os.RemoveAll(s.setting.dir)
}

// say notes an event.
func (s *stage) say(format string, args ...any) {
	s.mu.Lock()
	s.events = append(s.events, Event{time.Since(s.began), fmt.Sprintf(format, args...)})
	s.mu.Unlock()
	s.show(s.frame())
}

func (s *stage) startDaemon() error {
	c, err := s.spawner.spawn(s.daemons, func(r io.Reader) { io.Copy(io.Discard, r) },
		"run", "--config", s.setting.config)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.daemon, s.state = c, "starting"
	return nil
}

func (s *stage) startGuest(a *actor) error {
	c, err := s.spawner.spawn(s.self, a.listen(&s.mu, &s.blocks),
		GuestCommand, "--host", s.setting.address, "--name", a.name)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a.child = c
	return nil
}

// killDaemon ends it as a crash would.
func (s *stage) killDaemon(ctx context.Context) {
	s.look(ctx)
	s.mu.Lock()
	c := s.daemon
	s.daemon, s.state = nil, "killed"
	for _, src := range s.status.Entropy.Sources {
		e := s.earlier[src.Name]
		e.Samples += src.Samples
		e.MinEntropyBits += src.MinEntropyBits
		s.earlier[src.Name] = e
	}
	s.status = control.Status{}
	s.mu.Unlock()
	c.kill()
}

// killGuest ends one as a crash would.
func (s *stage) killGuest(a *actor) {
	s.mu.Lock()
	c := a.child
	s.mu.Unlock()
	c.kill()
	s.mu.Lock()
	defer s.mu.Unlock()
	a.child = nil
	a.bury()
}

// look asks the daemon how it stands.
func (s *stage) look(ctx context.Context) {
	s.mu.Lock()
	d := s.daemon
	s.mu.Unlock()
	if d == nil {
		return
	}
	status, err := s.client.Status(ctx)
	if err != nil {
		return
	}
	all, err := s.client.Sources(ctx)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.daemon != d || status.PID != d.pid() {
		return
	}
	s.status, s.sources = status, all.Sources
	for i := range s.sources {
		e := s.earlier[s.sources[i].Name]
		s.sources[i].Samples += e.Samples
		s.sources[i].MinEntropyBits += e.MinEntropyBits
	}
	if status.Entropy.Seeded {
		s.state = "serving"
	}
}

// watch looks and shows until ctx ends.
func (s *stage) watch(ctx context.Context) {
	for wait.For(ctx, 200*time.Millisecond) {
		s.look(ctx)
		s.show(s.frame())
	}
}

// every says whether something holds for all guests.
func (s *stage) every(is func(*actor) bool) func() bool {
	return func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return !slices.ContainsFunc(s.guests, func(a *actor) bool { return !is(a) })
	}
}

// seeded waits until the daemon gives entropy.
func (s *stage) seeded(ctx context.Context, limit time.Duration) error {
	s.mu.Lock()
	d := s.daemon
	s.mu.Unlock()
	ok := until(ctx, limit, func() bool {
		s.look(ctx)
		s.mu.Lock()
		defer s.mu.Unlock()
		select {
		case <-d.ended:
			return true
		default:
			return s.state == "serving"
		}
	})
	select {
	case <-d.ended:
		return d.trouble("the daemon")
	default:
	}
	if !ok {
		return errors.Join(context.Cause(ctx),
			fmt.Errorf("the daemon was not seeded within %v; see what xentropyd sources says", limit))
	}
	return nil
}
