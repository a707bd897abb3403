package protocol

import (
	"time"

	"golang.org/x/crypto/cryptobyte"
)

// RefusalReason says why a request was refused.
type RefusalReason uint8

// Reasons of a refusal.
const (
	RefusedBudget   RefusalReason = 1 // the guest's budget is spent
	RefusedUnseeded RefusalReason = 2 // the host has not yet gathered enough entropy
	RefusedStopped  RefusalReason = 3 // no healthy noise source is left and the host's policy is to stop
	RefusedTooLarge RefusalReason = 4 // more than the welcome's MaxRequest, or than the budget ever holds
)

func (r RefusalReason) String() string {
	switch r {
	case RefusedBudget:
		return "budget spent"
	case RefusedUnseeded:
		return "host not seeded yet"
	case RefusedStopped:
		return "host has no healthy noise source left"
	case RefusedTooLarge:
		return "request too large"
	}
	return "unknown reason"
}

// Refusal answers a request with nothing; with Request 0 it says that the
// host's own push has to wait.
type Refusal struct {
	Request    uint32
	Reason     RefusalReason
	RetryAfter time.Duration // milliseconds on the wire; 0: asking again is of no use
}

// Type implements [Message].
func (Refusal) Type() Type { return TypeRefusal }

func (m Refusal) marshal(b *cryptobyte.Builder) {
	b.AddUint32(m.Request)
	b.AddUint8(uint8(m.Reason))
	b.AddUint32(milliseconds(m.RetryAfter))
}

func parseRefusal(p []byte) (m Refusal, err error) {
	s := cryptobyte.String(p)
	var retryAfter uint32
	read := s.ReadUint32(&m.Request) && s.ReadUint8((*uint8)(&m.Reason)) && s.ReadUint32(&retryAfter)
	if err := whole(TypeRefusal, s, read); err != nil {
		return m, err
	}
	if m.Reason < RefusedBudget || m.Reason > RefusedTooLarge {
		return m, fail(TypeRefusal, ErrMalformed, "reason %d", m.Reason)
	}
	m.RetryAfter = time.Duration(retryAfter) * time.Millisecond
	return m, nil
}
