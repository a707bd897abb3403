package protocol

import (
	"encoding/binary"
)

// Reason says why a seed was sent.
type Reason uint8

// Reasons of a seed.
const (
	ReasonConnect    Reason = 1 // the session's first
	ReasonPeriodic   Reason = 2 // pushed by the host's schedule
	ReasonRequest    Reason = 3 // the guest asked
	ReasonGeneration Reason = 4 // a new generation began; only in a generation frame
)

// Seed carries entropy, drawn by the host for this frame alone. It travels as a seed frame or, when Reason is
// ReasonGeneration, as a generation frame: everything the guest derived from earlier seeds is void from then on.
type Seed struct {
	Sequence   uint64 // 1 for the session's first, then the next number each time
	Generation uint64
	Credit     uint16 // assessed entropy in bits, at most 8 for each payload byte
	Reason     Reason
	Request    uint32 // the request's identifier when Reason is ReasonRequest, else 0
	Payload    []byte // at most MaxSeed bytes; on receipt it aliases the decoder's buffer
}

// seedFixed is the size of a seed's payload before the entropy.
const seedFixed = 8 + 8 + 2 + 1 + 1 + 4 + 2

// Type implements [Message].
func (m Seed) Type() Type {
	if m.Reason == ReasonGeneration {
		return TypeGeneration
	}
	return TypeSeed
}

func (m Seed) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, m.Sequence)
	b = binary.BigEndian.AppendUint64(b, m.Generation)
	b = binary.BigEndian.AppendUint16(b, m.Credit)
	b = append(b, byte(m.Reason), 0)
	b = binary.BigEndian.AppendUint32(b, m.Request)
	b = binary.BigEndian.AppendUint16(b, uint16(len(m.Payload)))
	return append(b, m.Payload...)
}

func parseSeed(t Type, p []byte) (Seed, error) {
	c := cursor{b: p}
	var m Seed
	m.Sequence, m.Generation, m.Credit = c.u64(), c.u64(), c.u16()
	m.Reason = Reason(c.u8())
	reserved := c.u8()
	m.Request = c.u32()
	m.Payload = c.take(int(c.u16()))
	if err := c.end(t); err != nil {
		return m, err
	}
	switch {
	case reserved != 0:
		return m, fail(t, ErrMalformed, "reserved byte is %#x", reserved)
	case len(m.Payload) == 0:
		return m, fail(t, ErrMalformed, "no entropy in it")
	case int(m.Credit) > 8*len(m.Payload):
		return m, fail(t, ErrMalformed, "%d bits credited for %d bytes", m.Credit, len(m.Payload))
	case m.Reason < ReasonConnect || m.Reason > ReasonGeneration || m.Type() != t:
		return m, fail(t, ErrMalformed, "reason %d", m.Reason)
	case (m.Request != 0) != (m.Reason == ReasonRequest):
		return m, fail(t, ErrMalformed, "request identifier %d with reason %d", m.Request, m.Reason)
	}
	return m, nil
}
