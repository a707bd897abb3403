package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/xentropyd/xentropyd/internal/cputime"
	"github.com/xentropyd/xentropyd/internal/instance"
	"github.com/xentropyd/xentropyd/protocol"
	"github.com/xentropyd/xentropyd/transport"
)

// Drawer is where a server's bytes come from: an [Entropy].
type Drawer interface {
	Draw(p []byte) (creditBits int, err error)
	Degraded() bool
	Ready() <-chan struct{}
}

// Server gives entropy to guests. Its methods are safe for concurrent use.
type Server struct {
	cfg      Config
	entropy  Drawer
	instance [protocol.InstanceSize]byte
	guests   *guests
	started  time.Time

	renewals *renewals

	threadTime func() time.Duration // CPU time of the calling thread; tests count it otherwise

	mu         sync.Mutex
	sessions   map[*session]struct{}
	groups     *groups
	placed     int    // sessions that have one of Limits.Sessions places
	refusing   int    // sessions over a limit that are being told so
	yielding   int    // sessions that are ending to make room
	turnedAway uint64 // sessions over a limit since the start
	closing    bool
	wg         sync.WaitGroup // all sessions
	stopped    chan struct{}  // closed when the server goes down
}

// Our own bounds on sessions beside those that have a place.
const (
	maxRefusing      = 16 // sessions over a limit that are told why at once; more are just closed
	maxRefusingGroup = 2  // of one group
	maxYielding      = 64 // sessions that are ending to make room; more are not asked to meanwhile

	yieldTime = 2 * time.Second // for that, with their goodbye
)

// tableSize bounds the tables of guests and groups, those that are gone
// included. Who comes and goes under ever new names pushes out the longest
// gone, never one that is connected.
func tableSize(maxSessions int) int { return max(16384, 2*maxSessions) }

// NewServer returns a server that draws from entropy. It serves nothing until
// Serve is called.
func NewServer(entropy Drawer, cfg Config) (*Server, error) {
	if err := refuse(cfg.Check()); err != nil {
		return nil, err
	}
	cfg.Log = logger(cfg.Log)
	s := &Server{
		cfg:      cfg,
		entropy:  entropy,
		instance: instance.New(),
		guests:   newGuests(tableSize(cfg.Limits.Sessions)),
		started:  time.Now(),
		sessions: make(map[*session]struct{}),
		groups:   newGroups(tableSize(cfg.Limits.Sessions)),
		stopped:  make(chan struct{}),
		renewals: newRenewals(),

		threadTime: cputime.Thread,
	}
	return s, nil
}

// Run looks after the server's tables and tells waiting guests when the host is
// seeded, until ctx ends. Then it ends every session and waits for it. Each
// Server needs one Run.
func (s *Server) Run(ctx context.Context) error {
	defer s.shutdown()
	ready := s.entropy.Ready()
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	renewed := s.renewals.begun
	quiet := time.NewTimer(0)
	defer quiet.Stop()
	for {
		select {
		case <-ready:
			ready = nil
			s.kick(everybody)
		case <-tick.C:
			s.tidy(time.Now())
		case <-renewed:
			s.renewals.log(s.cfg.Log)
			renewed = nil
			quiet.Reset(renewalLogEvery)
		case <-quiet.C:
			renewed = s.renewals.begun
		case <-ctx.Done():
			s.renewals.log(s.cfg.Log)
			return nil
		}
	}
}

// Serve accepts guests from l until ctx ends or l fails for good, then closes
// l. Sessions go on until Run ends.
func (s *Server) Serve(ctx context.Context, l transport.Listener) error {
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { defer close(closed); l.Close() })
	defer func() {
		if stop() {
			l.Close()
			return
		}
		<-closed // the process may end after this: a socket's file is to be removed by then
	}()
	for {
		ch, peer, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			return fmt.Errorf("accept guests: %w", err)
		}
		s.start(ch, peer)
	}
}

// start begins a session in a goroutine of its own, or closes ch.
func (s *Server) start(ch transport.Conn, peer transport.Peer) {
	now := time.Now()
	s.mu.Lock()
	g := s.groups.find(groupKey{peer.Group, peer.First}, &s.cfg, now)
	over, yields := s.admit(g, peer, now)
	if s.closing || over != "" && !s.mayTell(g, now) {
		if over != "" {
			s.turnedAway++
		}
		s.mu.Unlock()
		ch.Close()
		return
	}
	ses := &session{server: s, ch: &metered{Conn: ch}, peer: peer, group: g, over: over, quit: make(chan struct{})}
	s.sessions[ses] = struct{}{}
	if over == "" {
		s.makeRoom(yields)
		s.groups.add(ses)
		s.placed++
	} else {
		s.turnedAway++
		s.refusing++
		g.refusing++
	}
	s.wg.Add(1)
	s.mu.Unlock()
	go func() {
		defer s.wg.Done()
		ses.run()
		s.end(ses)
	}()
}

// admit says whether a session of this peer has a place, and which one has to
// make room for it, or what limit it is over. The caller holds mu.
func (s *Server) admit(g *group, peer transport.Peer, now time.Time) (over string, yields *session) {
	same := 0
	for _, ses := range g.sessions {
		if ses.peer.ID == peer.ID {
			same++
		}
	}
	switch {
	case !g.newcomers.AllowN(now, 1):
		return "new sessions come too fast", nil
	case len(g.sessions) >= s.cfg.Limits.SessionsPerGroup:
		return fmt.Sprintf("%d sessions of %s at most", s.cfg.Limits.SessionsPerGroup, peer.Group), nil
	case same >= s.cfg.Limits.SessionsPerGuest:
		return fmt.Sprintf("%d sessions of one guest at most", s.cfg.Limits.SessionsPerGuest), nil
	case s.placed < s.cfg.Limits.Sessions:
		return "", nil
	}
	if s.yielding < maxYielding {
		yields = s.groups.yielder(g)
	}
	if yields == nil {
		return fmt.Sprintf("this host serves %d sessions at most", s.cfg.Limits.Sessions), nil
	}
	return "", yields
}

// mayTell says whether a session over a limit is heard and told so. It costs as
// much as one that is served, so each group has a few of the places for it, a
// few a second, and none while it owes CPU time. The caller holds mu.
func (s *Server) mayTell(g *group, now time.Time) bool {
	return s.refusing < maxRefusing && g.refusing < maxRefusingGroup &&
		g.cpu.Use(time.Now(), 0) == 0 && g.tellings.AllowN(now, 1)
}

// makeRoom takes a session's place, if there is one to be taken, and ends it.
// The caller holds mu.
func (s *Server) makeRoom(ses *session) {
	if ses == nil {
		return
	}
	s.groups.remove(ses)
	s.placed--
	s.yielding++
	s.turnedAway++
	ses.finish(&closing{protocol.CloseLimit, errors.New("this host has no place left, and others have fewer")})
	ses.hurry = time.AfterFunc(yieldTime, func() { ses.ch.Close() })
}

// entryOf is the budget that the configuration has for a peer.
func (s *Server) entryOf(p transport.Peer) entry {
	if s.cfg.BudgetFor != nil {
		if b, name := s.cfg.BudgetFor(p); name != "" && len(b.Check()) == 0 {
			return entry{name, b}
		}
	}
	return entry{"", s.cfg.Budget}
}

// bucketFor is what a guest of this group draws on: a bucket of its own, or the
// one that all guests with this entry of the configuration share.
func (s *Server) bucketFor(g *group, e entry) *bucket {
	if e.name == "" {
		return newBucket(e.budget, 1)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return g.bucketOf(e)
}

// end takes back what a session had when it was there.
func (s *Server) end(ses *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, ses)
	switch {
	case ses.over != "":
		s.refusing--
		ses.group.refusing--
	case s.groups.remove(ses):
		s.placed--
	default:
		s.yielding--
		ses.hurry.Stop()
	}
}

// everybody is who, where all sessions are meant.
func everybody(*session) bool { return true }

// kick makes the sessions look around that are meant.
func (s *Server) kick(who func(*session) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ses := range s.sessions {
		if who(ses) {
			ses.kick()
		}
	}
}

// tidy forgets guests and groups that are gone.
func (s *Server) tidy(now time.Time) {
	s.guests.forget(now)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.groups.forget(now)
}

// shutdown ends all sessions and waits for them.
func (s *Server) shutdown() {
	s.mu.Lock()
	s.closing = true
	close(s.stopped)
	for ses := range s.sessions {
		ses.finish(errStopping)
	}
	s.mu.Unlock()
	s.wg.Wait()
}
