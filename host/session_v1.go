package host

import (
	"errors"
	"fmt"
	"time"

	"github.com/xentropyd/xentropyd/internal/scrub"
	"github.com/xentropyd/xentropyd/protocol"
)

// serveV1 speaks protocol 1: after the line of text, as many bytes as the
// budget holds, then silence until it is full again. What the guest writes from
// then on is dropped.
func (s *session) serveV1(first []byte, deadline time.Time, limit time.Duration) error {
	if !s.server.cfg.Protocol1 {
		return errors.New("guest speaks protocol 1, which the configuration turns off")
	}
	if s.over != "" {
		return errors.New(s.over) // protocol 1 has no words for it
	}
	matcher := protocol.NewV1RequestMatcher()
	buf := make([]byte, 64)
	n := copy(buf, first)
	for {
		_, found, err := matcher.Feed(buf[:n])
		if err != nil {
			return err
		}
		if found {
			break
		}
		if n, err = s.read(buf, deadline); err != nil {
			return s.handshakeError(err, limit)
		}
	}
	s.server.guests.update(s.record, func(r *record) { r.protocol = 1 })
	if err := s.write([]byte(protocol.V1Answer)); err != nil {
		return err
	}
	s.pushAt = time.Now()
	for {
		now := time.Now()
		if !now.Before(s.pushAt) {
			if err := s.pushV1(now); err != nil {
				return err
			}
		}
		heard, err := s.listen(s.pushAt, func() error {
			_, err := s.ch.Read(buf)
			return err
		})
		if heard {
			err = s.throttle()
		}
		if err != nil {
			return err
		}
	}
}

// v1Chunk is how many bytes are drawn and written at once, at most;
// MinSeedBytes are the least.
const v1Chunk = 256

// pushV1 gives all that the budget holds and sets the time of the next push.
func (s *session) pushV1(now time.Time) error {
	s.pushAt = now.Add(s.record.budget.Period)
	defer scrub.Stack()
	seed := make([]byte, v1Chunk)
	defer clear(seed)
	given := false
	for {
		chunk := seed[:min(max(MinSeedBytes, s.record.bucket.left(now)), v1Chunk)]
		taken, _ := s.take(now, len(chunk))
		if taken == nil {
			break // other sessions of this guest may have had their part
		}
		credit, err := s.server.entropy.Draw(chunk)
		if err != nil {
			taken()
			s.waiting = true
			s.pushAt = now.Add(unseededRetry)
			return nil
		}
		given = true
		if err := s.write(chunk); err != nil {
			return fmt.Errorf("protocol 1: %w", err)
		}
		s.server.guests.update(s.record, func(r *record) {
			r.bytes += uint64(len(chunk))
			r.credited += uint64(credit)
			r.lastSeed = now
		})
	}
	if !given {
		s.pushAt = now.Add(max(s.record.budget.Period, pushRetry))
		return nil
	}
	s.server.guests.update(s.record, func(r *record) { r.seeds++ })
	return nil
}
