package host

import (
	"errors"
	"time"

	"github.com/xentropyd/xentropyd/internal/scrub"
	"github.com/xentropyd/xentropyd/protocol"
)

// unseededRetry is how long to wait for a seeded or healthy host before looking
// again; readiness itself is signalled.
const unseededRetry = time.Second

// pushRetry is the least time to the next push after one that could not be:
// other sessions may be after the same few bytes.
const pushRetry = time.Second

// standstill is how late a ping's answer says that the guest stood still,
// paused or starved, and did not just think. It gets a seed then, on its
// budget, since nobody knows what else was done to it meanwhile.
const standstill = 5 * time.Second

// serveV2 speaks protocol 2. first is what was already read of the hello.
func (s *session) serveV2(first []byte, deadline time.Time, limit time.Duration) error {
	cfg := &s.server.cfg
	greeting := true
	s.decoder = protocol.NewHostDecoder(readerFunc(func(p []byte) (int, error) {
		if greeting {
			return s.read(p, deadline)
		}
		return s.ch.Read(p)
	}))
	s.decoder.Preload(first)
	f, err := s.decoder.Next()
	if err != nil {
		return s.handshakeError(err, limit)
	}
	proto, hello, err := protocol.NewHost(f)
	s.proto = proto
	if errors.Is(err, protocol.ErrVersion) {
		return &closing{protocol.CloseVersion, err}
	}
	if err != nil {
		return err
	}
	if s.over != "" {
		return &closing{protocol.CloseLimit, errors.New(s.over)}
	}
	s.server.guests.update(s.record, func(r *record) { r.label, r.protocol = hello.Label, 2 })
	greeting = false

	now := time.Now()
	s.generation = s.record.generation.Load()
	err = s.send(protocol.Welcome{
		Degraded:     s.server.entropy.Degraded(),
		Instance:     s.server.instance,
		Generation:   s.generation,
		KeepAlive:    cfg.Times.KeepAlive,
		BudgetBytes:  uint32(s.record.budget.Bytes),
		BudgetPeriod: s.record.budget.Period,
		MaxRequest:   uint16(min(protocol.MaxSeed, s.record.budget.Bytes)),
	})
	if err != nil {
		return err
	}
	s.pushAt, s.heard, s.pinged = now, now, now
	return s.loopV2()
}

func (s *session) loopV2() error {
	for {
		now := time.Now()
		if err := s.duties(now); err != nil {
			return err
		}
		wake := s.pushAt
		if t := s.pingAt(); t.Before(wake) {
			wake = t
		}
		var f protocol.Frame
		heard, err := s.listen(wake, func() (err error) {
			f, err = s.decoder.Next()
			return err
		})
		if err != nil {
			return err
		}
		if !heard {
			continue
		}
		s.heard = time.Now()
		s.pinged = s.heard
		if !s.unanswered.IsZero() && s.heard.Sub(s.unanswered) >= standstill {
			s.pushAt = s.heard
		}
		s.unanswered = time.Time{}
		if err := s.throttle(); err != nil {
			return err
		}
		m, err := s.proto.Open(f)
		if err != nil {
			return err
		}
		if done, err := s.handle(m); done || err != nil {
			return err
		}
	}
}

// pingsTogether is in how many steps of a keep-alive pings are sent: so that of
// thousands of silent guests many are asked at once, and each does not wake the
// process alone.
const pingsTogether = 100

// pingAt is when the guest is next asked whether it is there.
func (s *session) pingAt() time.Time {
	every := s.server.cfg.Times.KeepAlive
	step := max(every/pingsTogether, 1)
	at := s.pinged.Add(every).Sub(s.server.started)
	return s.server.started.Add((at + step - 1) / step * step)
}

// duties does what the time or a kick calls for.
func (s *session) duties(now time.Time) error {
	cfg := &s.server.cfg
	generation := s.record.generation.Load()
	if !now.Before(s.pushAt) || generation != s.generation && !s.waiting {
		if err := s.push(now, generation); err != nil {
			return err
		}
	}
	if !now.Before(s.pingAt()) {
		if now.Sub(s.heard) >= 3*cfg.Times.KeepAlive {
			return &closing{protocol.CloseTimeout, errors.New("guest answers no ping")}
		}
		s.pinged = now
		if s.unanswered.IsZero() {
			s.unanswered = now
		}
		return s.send(protocol.Ping{Token: uint64(now.UnixNano())})
	}
	return nil
}

// push sends the seed that is due: of a new generation, else on the guest's
// budget.
func (s *session) push(now time.Time, generation uint64) error {
	cfg := &s.server.cfg
	s.waiting = false
	var retry time.Duration
	var sent bool
	var err error
	switch {
	case generation != s.generation:
		retry, sent, err = s.beginGeneration(now, generation)
	case s.proto.Sequence() == 0:
		retry, sent, err = s.give(now, protocol.ReasonConnect, 0, min(cfg.Seed.Bytes, s.record.budget.Bytes))
	default:
		retry, sent, err = s.give(now, protocol.ReasonPeriodic, 0, min(cfg.Seed.Bytes, s.record.budget.Bytes))
	}
	if sent {
		retry = s.jittered(cfg.Seed.Interval)
	} else {
		retry = max(retry, pushRetry)
	}
	s.pushAt = now.Add(retry)
	return err
}

// handle answers one message. It returns true when the guest said goodbye.
func (s *session) handle(m protocol.Message) (done bool, err error) {
	switch m := m.(type) {
	case protocol.Request:
		if int(m.Bytes) > s.record.budget.Bytes {
			return false, s.refuse(m.ID, protocol.RefusedTooLarge, 0)
		}
		_, _, err := s.give(time.Now(), protocol.ReasonRequest, m.ID, int(m.Bytes))
		return false, err
	case protocol.Ack:
		s.acknowledge(m)
	case protocol.Ping:
		return false, s.send(protocol.Pong(m))
	case protocol.Close:
		return true, nil
	}
	return false, nil
}

// beginGeneration sends the seed that voids all earlier ones. The guest cannot
// cause it: it is not on its budget.
func (s *session) beginGeneration(now time.Time, generation uint64) (retry time.Duration, sent bool, err error) {
	defer scrub.Stack()
	seed := make([]byte, s.server.cfg.Seed.Bytes)
	defer clear(seed)
	credit, err := s.server.entropy.Draw(seed)
	if err != nil {
		return s.notNow(0, err) // the first seed that can be given will carry the new generation
	}
	s.generation = generation
	return 0, true, s.sendSeed(now, protocol.Seed{
		Generation: generation, Credit: uint16(credit),
		Reason: protocol.ReasonGeneration, Payload: seed,
	})
}

// give draws n bytes on the guest's budget and sends them, or refuses and says
// when to try again. Fewer than MinSeedBytes cost as many: the work of a draw
// does not become less.
func (s *session) give(now time.Time, reason protocol.Reason, request uint32,
	n int,
) (retry time.Duration, sent bool, err error) {
	taken, retry := s.take(now, max(n, MinSeedBytes))
	if taken == nil {
		return retry, false, s.refuse(request, protocol.RefusedBudget, max(retry, time.Millisecond))
	}
	defer scrub.Stack()
	seed := make([]byte, n)
	defer clear(seed)
	credit, err := s.server.entropy.Draw(seed)
	if err != nil {
		taken()
		return s.notNow(request, err)
	}
	return 0, true, s.sendSeed(now, protocol.Seed{
		Generation: s.generation, Credit: uint16(credit), Reason: reason,
		Request: request, Payload: seed,
	})
}

// notNow refuses because the host has nothing to give; the session is kicked
// when that has changed.
func (s *session) notNow(request uint32, err error) (time.Duration, bool, error) {
	s.waiting = true
	why := protocol.RefusedStopped
	if errors.Is(err, ErrNotSeeded) {
		why = protocol.RefusedUnseeded
	}
	return unseededRetry, false, s.refuse(request, why, unseededRetry)
}

func (s *session) sendSeed(now time.Time, m protocol.Seed) error {
	if err := s.send(m); err != nil {
		return err
	}
	s.server.guests.update(s.record, func(r *record) {
		r.seeds++
		r.bytes += uint64(len(m.Payload))
		r.credited += uint64(m.Credit)
		r.lastSeed = now
	})
	return nil
}

func (s *session) refuse(request uint32, reason protocol.RefusalReason, retry time.Duration) error {
	s.server.guests.update(s.record, func(r *record) { r.refused++ })
	return s.send(protocol.Refusal{Request: request, Reason: reason, RetryAfter: retry})
}

// acknowledge notes what the guest says became of a seed. Of one so old that
// the protocol has forgotten it nobody knows the generation: none counts that
// was not sent.
func (s *session) acknowledge(m protocol.Ack) {
	now := time.Now()
	m.Generation = min(m.Generation, s.generation)
	s.server.guests.update(s.record, func(r *record) {
		r.lastAck = now
		if m.Forgotten {
			return // nobody knows whether it was counted already
		}
		library, failed := false, false
		for _, o := range m.Outcomes {
			switch {
			case !o.OK:
				failed = true
				r.failed++
				r.lastFail = o.Target.String() + ": " + o.Detail
			case o.Target == protocol.TargetLibrary:
				library = true
				r.acked++
			case o.Target == protocol.TargetKernel:
				r.kernelOK++
				r.kernelBits += uint64(o.Credit)
				r.kernelGen = max(r.kernelGen, m.Generation)
				r.kernelAck = now
			}
		}
		if library {
			r.seededGen = max(r.seededGen, m.Generation)
		}
		if library && !failed {
			r.ackedGen = max(r.ackedGen, m.Generation)
		}
	})
}

// send seals a message and writes it within the time that a guest has to take
// it. The buffer has room for the whole frame, so that no part of a seed stays
// behind in one that it outgrew.
func (s *session) send(m protocol.Message) error {
	size := protocol.HeaderSize + protocol.MaxHostPayload
	if _, seed := m.(protocol.Seed); !seed {
		size = 256
	}
	frame := s.proto.Append(make([]byte, 0, size), m)
	defer clear(frame)
	return s.write(frame)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
