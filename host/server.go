package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/xentropyd/xentropyd/internal/instance"
	"github.com/xentropyd/xentropyd/protocol"
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

	mu         sync.Mutex
	sessions   map[*session]struct{}
	groups     map[string]*group
	refusing   int    // sessions over the limit that are being told so
	turnedAway uint64 // sessions over a limit since the start
	closing    bool
	wg         sync.WaitGroup // all sessions
	stopped    chan struct{}  // closed when the server goes down
}

// maxRefusing is how many sessions over the limit are told why at once; more are just closed.
const maxRefusing = 16

// NewServer returns a server that draws from entropy. It serves nothing until Serve is called.
func NewServer(entropy Drawer, cfg Config) (*Server, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, fmt.Errorf("host configuration: %w", err)
	}
	s := &Server{
		cfg:      cfg,
		entropy:  entropy,
		instance: instance.New(),
		guests:   newGuests(),
		started:  cfg.Now(),
		sessions: make(map[*session]struct{}),
		groups:   make(map[string]*group),
		stopped:  make(chan struct{}),
	}
	return s, nil
}

// Run looks after the server's tables and tells waiting guests when the host is seeded, until ctx ends. Then it ends
// every session and waits for it. Each Server needs one Run.
func (s *Server) Run(ctx context.Context) error {
	defer s.shutdown()
	ready := s.entropy.Ready()
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ready:
			ready = nil
			s.kickAll()
		case <-tick.C:
			s.tidy(s.cfg.Now())
		case <-ctx.Done():
			return nil
		}
	}
}

// Serve accepts guests from l until ctx ends or l fails for good, then closes l. Sessions go on until Run ends.
func (s *Server) Serve(ctx context.Context, l Listener) error {
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
func (s *Server) start(ch Channel, peer Peer) {
	now := s.cfg.Now()
	s.mu.Lock()
	over := ""
	g := s.groups[peer.Group]
	if g == nil {
		g = newGroup(&s.cfg)
		s.groups[peer.Group] = g
	}
	g.seen = now
	switch {
	case len(s.sessions) >= s.cfg.MaxSessions:
		over = fmt.Sprintf("this host serves %d sessions at most", s.cfg.MaxSessions)
	case g.sessions >= s.cfg.MaxPerGroup:
		over = fmt.Sprintf("%d sessions of %s at most", s.cfg.MaxPerGroup, peer.Group)
	case s.guests.sessions(peer.ID) >= s.cfg.MaxPerGuest:
		over = fmt.Sprintf("%d sessions of one guest at most", s.cfg.MaxPerGuest)
	case !g.arrivals.AllowN(now, 1):
		over = "new sessions come too fast"
	}
	if over != "" {
		s.turnedAway++
	}
	if s.closing || over != "" && s.refusing >= maxRefusing {
		s.mu.Unlock()
		ch.Close()
		return
	}
	ses := &session{server: s, ch: &metered{Channel: ch}, peer: peer, group: g, over: over}
	if over != "" {
		s.refusing++
	} else {
		g.sessions++
	}
	s.sessions[ses] = struct{}{}
	s.wg.Add(1)
	s.mu.Unlock()
	go func() {
		defer s.wg.Done()
		ses.run()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.sessions, ses)
		if over != "" {
			s.refusing--
		} else {
			g.sessions--
		}
	}()
}

// NewGeneration begins a new generation for every guest: each is pushed a fresh seed that voids all earlier ones, and
// acknowledges it. Call it when the guests' state may have been copied. It returns the generation's number.
func (s *Server) NewGeneration() uint64 {
	g, _ := s.guests.renew("", true)
	s.kickAll()
	return g
}

// NewGenerationFor is NewGeneration for the guest with this ID alone. It returns false if there is none.
func (s *Server) NewGenerationFor(id string) (generation uint64, ok bool) {
	generation, n := s.guests.renew(id, false)
	s.kickAll()
	return generation, n > 0
}

// kickAll makes every session look around.
func (s *Server) kickAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ses := range s.sessions {
		ses.kick()
	}
}

// tidy forgets guests and groups that are gone.
func (s *Server) tidy(now time.Time) {
	s.guests.forget(now)
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, g := range s.groups {
		if g.sessions == 0 && now.Sub(g.seen) >= forgetAfter && g.bucket.full(now) {
			delete(s.groups, name)
		}
	}
}

// shutdown ends all sessions and waits for them.
func (s *Server) shutdown() {
	s.mu.Lock()
	s.closing = true
	close(s.stopped)
	for ses := range s.sessions {
		ses.stop()
	}
	s.mu.Unlock()
	s.wg.Wait()
}
