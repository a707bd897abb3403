package guest

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/xentropyd/xentropyd/protocol"
)

// session is one connection to a host that speaks protocol 2. run's goroutine
// reads; anyone may write.
type session struct {
	g        *Guest
	rw       io.ReadWriteCloser
	proto    *protocol.Guest
	decoder  *protocol.Decoder
	watchdog *time.Timer // closes the channel when the host is silent for too long
	welcomed bool
	restores uint64 // Guest.restores when the session began
	silence  time.Duration

	writing sync.Mutex // one frame at a time; guards the fields below
	lastID  uint32
	pending map[uint32]chan error
	ended   bool

	over chan struct{} // closed when the session has ended
}

// welcomeOf is the host that the guest last heard of.
type welcomeOf struct {
	instance   [protocol.InstanceSize]byte
	generation uint64
	known      bool
}

func newSession(g *Guest, rw io.ReadWriteCloser) *session {
	return &session{
		g: g, rw: rw, decoder: protocol.NewGuestDecoder(rw),
		pending: make(map[uint32]chan error), over: make(chan struct{}),
	}
}

// goodbyeTime is how long a closing guest tries to tell the host.
const goodbyeTime = 500 * time.Millisecond

// run speaks with the host until the session ends.
func (s *session) run(ctx context.Context) (err error) {
	o := &s.g.opts
	s.restores = s.g.restores() // before the nonce is made
	s.proto = protocol.NewGuest(protocol.Hello{Kernel: o.Kernel != nil, Nonce: s.g.nonce(), Label: o.Label})
	s.silence = helloTime
	s.watchdog = time.AfterFunc(helloTime, func() { s.rw.Close() })
	said := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(said)
		force := time.AfterFunc(goodbyeTime, func() { s.rw.Close() })
		s.send(protocol.Close{Reason: protocol.CloseDone, Text: "guest is closing"})
		force.Stop()
		s.rw.Close()
	})
	defer func() {
		if !s.watchdog.Stop() && ctx.Err() == nil {
			err = fmt.Errorf("host was silent for %v", s.silence)
		}
		if !stop() {
			<-said
		}
		s.end(err)
		s.rw.Close()
		s.decoder.Wipe()
	}()
	if err := s.say(s.proto.AppendHello(nil)); err != nil {
		return fmt.Errorf("say hello: %w", err)
	}
	for {
		f, err := s.decoder.Next()
		if err != nil {
			return err
		}
		s.watchdog.Reset(s.silence)
		m, err := s.proto.Open(f)
		if err != nil {
			s.send(protocol.Close{Reason: protocol.CloseProtocol, Text: err.Error()})
			return err
		}
		if err := s.handle(m); err != nil {
			return err
		}
	}
}

// say writes the hello, which no other frame may overtake.
func (s *session) say(hello []byte) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	_, err := s.rw.Write(hello)
	return err
}

// handle does what one message of the host asks for.
func (s *session) handle(m protocol.Message) error {
	if s.restores != s.g.restores() {
		return errors.New("the machine's state may have been copied since the session began")
	}
	switch m := m.(type) {
	case protocol.Welcome:
		s.welcome(m)
	case protocol.Seed:
		return s.seed(m)
	case protocol.Refusal:
		s.g.refused(m)
		s.answer(m.Request, fmt.Errorf("host refused a seed: %s, retry after %v", m.Reason, m.RetryAfter))
	case protocol.Ping:
		return s.send(protocol.Pong(m))
	case protocol.Close:
		err := fmt.Errorf("host closed the session: %s: %s", m.Reason, m.Text)
		if m.Reason == protocol.CloseDone {
			return err
		}
		return &retryError{after: time.Second, err: err}
	}
	return nil
}

// welcome notes who the host is. A generation that went by while nobody
// listened voids what is buffered.
func (s *session) welcome(m protocol.Welcome) {
	s.welcomed = true
	s.silence = max(3*m.KeepAlive, helloTime)
	s.watchdog.Reset(s.silence)
	g := s.g
	g.mu.Lock()
	g.session = s
	if g.welcomed.known && g.welcomed.instance == m.Instance && g.welcomed.generation != m.Generation {
		g.hostChanges.Add(1)
		g.state.Host.Generations++
	}
	first := !g.welcomed.known
	g.welcomed = welcomeOf{m.Instance, m.Generation, true}
	g.mu.Unlock()
	g.update(func(st *Status) {
		h := &st.Host
		h.Connected, h.Protocol, h.Degraded, h.LastError = true, 2, m.Degraded, ""
		h.Instance, h.Generation = hex.EncodeToString(m.Instance[:]), m.Generation
		if !first {
			h.Reconnects++
		}
	})
	g.hostIsHere("instance", hex.EncodeToString(m.Instance[:]), "generation", m.Generation, "degraded", m.Degraded)
}

// seed uses a seed and acknowledges what it reached.
func (s *session) seed(m protocol.Seed) error {
	g := s.g
	if m.Type() == protocol.TypeGeneration {
		g.mu.Lock()
		g.welcomed.generation = m.Generation
		g.state.Host.Generation = m.Generation
		g.state.Host.Generations++
		g.hostChanges.Add(1) // reads under way start over
		g.mu.Unlock()
		g.opts.Log.Info("a new generation began", "generation", m.Generation)
	}
	g.hostIsHere("generation", m.Generation)
	g.noteDegraded(m.Credit == 0)
	outcomes := g.apply(m.Payload, int(m.Credit), s.restores)
	if m.Request != 0 {
		s.answer(m.Request, nil)
	}
	if err := s.send(protocol.Ack{Sequence: m.Sequence, Generation: m.Generation, Outcomes: outcomes}); err != nil {
		return err
	}
	g.update(func(st *Status) { st.Host.Acknowledged++ })
	g.seededOnce()
	return nil
}

// send writes one frame.
func (s *session) send(m protocol.Message) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	return s.write(m)
}

func (s *session) write(m protocol.Message) error {
	if _, err := s.rw.Write(s.proto.Append(make([]byte, 0, 128), m)); err != nil {
		return fmt.Errorf("send %s: %w", m.Type(), err)
	}
	return nil
}

// Bounds on how long a refusal keeps a guest from asking again (our choice): a
// host that names no time is asked no more often than the first, and none is
// believed to mean more than the second.
const (
	refusalMin = time.Second
	refusalMax = time.Minute
)

// refused notes when the host may be asked again. A refusal without a time says
// that it is of no use.
func (g *Guest) refused(m protocol.Refusal) {
	wait := m.RetryAfter
	if wait <= 0 {
		wait = refusalMax
	}
	if m.Reason == protocol.RefusedStopped {
		g.noteDegraded(true)
	}
	g.update(func(s *Status) {
		s.Host.Refused++
		if m.Request != 0 {
			g.askAfter = time.Now().Add(min(max(wait, refusalMin), refusalMax))
		}
	})
}

// noteDegraded takes what the host's last words say of its noise sources: it
// credits nothing only while it has no healthy one. The caller tells who wants
// to know.
func (g *Guest) noteDegraded(degraded bool) {
	g.mu.Lock()
	changed := g.state.Host.Degraded != degraded
	g.state.Host.Degraded = degraded
	g.mu.Unlock()
	switch {
	case changed && degraded:
		g.opts.Log.Warn("the host has no healthy noise source left")
	case changed:
		g.opts.Log.Info("the host has a healthy noise source again")
	}
}

// mayAsk waits until the host may be asked.
func (s *session) mayAsk(ctx context.Context) error {
	s.g.mu.Lock()
	wait := time.Until(s.g.askAfter)
	s.g.mu.Unlock()
	if wait <= 0 {
		return nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-s.over:
		return errLost
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

var errLost = errors.New("connection was lost")

// request asks for a seed and waits for the answer.
func (s *session) request(ctx context.Context) error {
	if err := s.mayAsk(ctx); err != nil {
		return fmt.Errorf("ask host for a seed: %w", err)
	}
	answer := make(chan error, 1)
	s.writing.Lock()
	if s.ended {
		s.writing.Unlock()
		return fmt.Errorf("ask host for a seed: %w", errLost)
	}
	s.lastID++
	id := s.lastID
	s.pending[id] = answer
	err := s.write(protocol.Request{ID: id, Bytes: targetSeed})
	s.writing.Unlock()
	if err == nil {
		select {
		case err = <-answer:
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	}
	s.writing.Lock()
	delete(s.pending, id)
	s.writing.Unlock()
	if err != nil {
		return fmt.Errorf("ask host for a seed: %w", err)
	}
	return nil
}

// answer ends the wait of one request.
func (s *session) answer(id uint32, err error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	if c := s.pending[id]; c != nil {
		c <- err
		delete(s.pending, id)
	}
}

// end ends the wait of all requests.
func (s *session) end(err error) {
	s.g.mu.Lock()
	if s.g.session == s {
		s.g.session = nil
	}
	s.g.mu.Unlock()
	s.writing.Lock()
	defer s.writing.Unlock()
	s.ended = true
	close(s.over)
	for id, c := range s.pending {
		c <- orEOF(err)
		delete(s.pending, id)
	}
}
