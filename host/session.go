package host

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/xentropyd/xentropyd/internal/cputime"
	"github.com/xentropyd/xentropyd/protocol"
	"github.com/xentropyd/xentropyd/transport"
)

// session serves one guest. It has one goroutine, run's, which sleeps in Read
// until a frame comes, a deadline of its own passes, or somebody kicks it:
//
//	hello ─> welcome ─> ┌ a new generation? send its seed        ┐
//	                    │ time for a push? draw from the budget  │
//	                    │ silent for long? ping, then give up    │ ─> close
//	                    └ read a frame: request, ack, ping, pong ┘
type session struct {
	server *Server
	ch     *metered
	peer   transport.Peer
	group  *group
	over   string // not empty: the session is over a limit, and this says which; record is nil then

	mu     sync.Mutex // guards the read deadline against kicks
	kicked bool
	why    error         // it was told to end, for this
	quit   chan struct{} // closed then
	hurry  *time.Timer   // closes ch if that takes too long; guarded by Server.mu

	record     *record
	proto      *protocol.Host
	decoder    *protocol.Decoder
	frames     rate.Limiter
	generation uint64
	pushAt     time.Time
	waiting    bool // the last push found the host not seeded or stopped
	heard      time.Time
	pinged     time.Time
	unanswered time.Time // the first ping since the guest was last heard; zero for none
}

// errStopping ends a session because the server goes down.
var errStopping = errors.New("server is stopping")

// closing is the error with which a session ends when the guest should be told
// why.
type closing struct {
	reason protocol.CloseReason
	err    error
}

func (c *closing) Error() string { return c.err.Error() }
func (c *closing) Unwrap() error { return c.err }

// run serves the guest until it goes, breaks a rule or is told to.
func (s *session) run() {
	cfg := &s.server.cfg
	if s.over == "" {
		e := s.server.entryOf(s.peer)
		s.record = s.server.guests.connect(s.peer, cfg, e, s.server.bucketFor(s.group, e))
	}
	s.beginCount()
	defer s.ch.end()
	frames := cfg.Limits.FramesPerSecond
	s.frames = *rate.NewLimiter(rate.Limit(frames), int(max(1, 2*frames)))
	err := s.serve()
	s.sayGoodbye(err)
	s.ch.Close()
	if s.decoder != nil {
		s.decoder.Wipe()
	}
	err = s.judge(err)
	if s.record != nil {
		s.server.guests.disconnect(s.record, time.Now(), err)
	}
}

// beginCount starts the count of CPU time. That of a session over a limit is
// its guest's too, if there is such a guest.
func (s *session) beginCount() {
	guests := s.server.guests
	r := s.record
	if r == nil {
		r = guests.find(s.peer.ID)
	}
	if r == nil {
		s.ch.begin(s.server, s.quit, new(cputime.Sum), func() {}, s.group.cpu)
		return
	}
	slowed := func() { guests.update(r, func(r *record) { r.slowed++ }) }
	s.ch.begin(s.server, s.quit, &r.cpu, slowed, r.share, s.group.cpu)
}

// take takes n bytes from the guest's budget and, if that is the common one,
// from what its group may have in all, so that nobody gets more by coming under
// ever new names. The function returned gives them back; nil says how long to
// wait.
func (s *session) take(now time.Time, n int) (giveBack func(), wait time.Duration) {
	mine, ours := s.record.bucket, s.group.bucket
	if ok, wait := mine.take(now, n); !ok {
		return nil, wait
	}
	if !s.record.common {
		return func() { mine.giveBack(n) }, 0
	}
	if ok, wait := ours.take(now, n); !ok {
		mine.giveBack(n)
		return nil, wait
	}
	return func() { mine.giveBack(n); ours.giveBack(n) }, 0
}

// judge logs why the session ended, at a level that fits, and returns what the
// guest's record should keep of it. A guest can come again as fast as it likes,
// so only some of many lines are written.
func (s *session) judge(err error) error {
	log := s.server.cfg.Log.With("guest", s.peer.ID, "name", s.peer.Name)
	var violation *protocol.Error
	broken := errors.As(err, &violation) || transport.Hostile(err)
	if broken && s.record != nil {
		s.server.guests.update(s.record, func(r *record) { r.broken++ })
	}
	switch {
	case err == nil, errors.Is(err, io.EOF), errors.Is(err, errStopping):
		log.Debug("session ended", "reason", err)
		return nil
	case s.over != "":
		log.Debug("guest turned away", "reason", err)
		return err
	}
	write, unwritten := s.group.mayLog(time.Now())
	if unwritten > 0 {
		log = log.With("lines_left_out", unwritten)
	}
	switch {
	case !write:
	case broken:
		log.Warn("guest broke the rules; its session ends", "error", err)
	default:
		log.Info("session ended", "reason", err)
	}
	return err
}

// sayGoodbye tells the guest why, where that can help it. It waits a second at
// most.
func (s *session) sayGoodbye(err error) {
	if s.proto == nil {
		return
	}
	m := protocol.Close{Reason: protocol.CloseDone, Text: "host is going down"}
	var c *closing
	var violation *protocol.Error
	switch {
	case errors.As(err, &c):
		m = protocol.Close{Reason: c.reason, Text: c.err.Error()}
	case errors.As(err, &violation):
		m = protocol.Close{Reason: protocol.CloseProtocol, Text: violation.Error()}
	case !errors.Is(err, errStopping):
		return
	}
	s.ch.SetWriteDeadline(time.Now().Add(time.Second))
	s.ch.Write(s.proto.Append(nil, m))
}

// serve finds out which protocol the guest speaks and speaks it.
func (s *session) serve() error {
	limit := s.server.cfg.Times.Handshake
	if s.over != "" {
		limit = min(limit, time.Second)
	}
	deadline := time.Now().Add(limit)
	var first [1]byte
	for {
		n, err := s.read(first[:], deadline)
		if err != nil {
			return s.handshakeError(err, limit)
		}
		if n == 1 {
			break
		}
	}
	if protocol.Peek(first[0]) == 1 {
		return s.serveV1(first[:], deadline, limit)
	}
	return s.serveV2(first[:], deadline, limit)
}

func (s *session) handshakeError(err error, limit time.Duration) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("no hello within %v", limit)
	}
	return err
}

// read is the channel's Read with a deadline and without kicks: it returns an
// error when the session is told to end.
func (s *session) read(p []byte, deadline time.Time) (int, error) {
	for {
		if err := s.arm(deadline); err != nil && err != errKicked {
			return 0, err
		}
		n, err := s.ch.Read(p)
		if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && time.Now().Before(deadline) {
			continue // a kick, which can wait
		}
		if n > 0 {
			err = nil
		}
		return n, err
	}
}

// errKicked says that there may be something to do before reading.
var errKicked = errors.New("kicked")

// arm sets the read deadline, unless the session was kicked since it last
// looked, or told to end.
func (s *session) arm(deadline time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.why != nil {
		return s.why
	}
	s.ch.SetReadDeadline(deadline)
	if s.kicked {
		s.kicked = false
		return errKicked
	}
	return nil
}

// listen waits for the guest until there is something else to do: heard is false
// then.
func (s *session) listen(until time.Time, receive func() error) (heard bool, err error) {
	switch err := s.arm(until); {
	case err == errKicked:
		if s.waiting {
			s.waiting, s.pushAt = false, time.Now()
		}
		return false, nil
	case err != nil:
		return false, err
	}
	err = receive()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return false, nil
	}
	return err == nil, err
}

// past is a deadline that has passed on every clock.
var past = time.Unix(1, 0)

// kick makes the session's goroutine look around instead of sleeping in Read.
func (s *session) kick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kicked = true
	s.ch.SetReadDeadline(past)
}

// finish makes the session end, for a reason. The first one counts.
func (s *session) finish(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.why == nil {
		s.why = why
		close(s.quit)
	}
	s.ch.SetReadDeadline(past)
}

// throttle counts a frame that arrived and makes a guest wait that sends too
// many: meanwhile its ring is full and it is the one that waits. What bounds
// the CPU time of a guest that sends anything but frames is in cpu.go.
func (s *session) throttle() error {
	cfg := &s.server.cfg
	if cfg.OnFrame != nil {
		cfg.OnFrame()
	}
	slow := s.frames.ReserveN(time.Now(), 1).Delay()
	s.server.guests.update(s.record, func(r *record) {
		r.frames++
		if slow > 0 {
			r.slowed++
		}
	})
	if slow <= 0 {
		return nil
	}
	s.ch.end()
	defer s.ch.wake()
	wait := time.NewTimer(slow)
	defer wait.Stop()
	select {
	case <-wait.C:
		return nil
	case <-s.quit:
		return nil // arm says why
	}
}

// write sends p within the time that a guest has to take it.
func (s *session) write(p []byte) error {
	s.ch.SetWriteDeadline(time.Now().Add(s.server.cfg.Times.Write))
	_, err := s.ch.Write(p)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("guest did not take %d bytes within %v", len(p), s.server.cfg.Times.Write)
	}
	return err
}

// jittered spreads an interval so that guests which started together do not
// stay together. It needs no secret.
func (s *session) jittered(d time.Duration) time.Duration {
	j := s.server.cfg.Seed.Jitter
	return time.Duration(float64(d) * (1 - j + 2*j*rand.Float64()))
}
