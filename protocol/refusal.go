package protocol

import (
	"encoding/binary"
	"time"
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

// Refusal answers a request with nothing; with Request 0 it says that the host's own push has to wait.
type Refusal struct {
	Request    uint32
	Reason     RefusalReason
	RetryAfter time.Duration // milliseconds on the wire; 0: asking again is of no use
}

// Type implements [Message].
func (Refusal) Type() Type { return TypeRefusal }

func (m Refusal) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, m.Request)
	b = append(b, byte(m.Reason))
	return binary.BigEndian.AppendUint32(b, milliseconds(m.RetryAfter))
}

func parseRefusal(p []byte) (Refusal, error) {
	c := cursor{b: p}
	m := Refusal{Request: c.u32(), Reason: RefusalReason(c.u8())}
	m.RetryAfter = time.Duration(c.u32()) * time.Millisecond
	if err := c.end(TypeRefusal); err != nil {
		return m, err
	}
	if m.Reason < RefusedBudget || m.Reason > RefusedTooLarge {
		return m, fail(TypeRefusal, ErrMalformed, "reason %d", m.Reason)
	}
	return m, nil
}
