package protocol

import "golang.org/x/crypto/cryptobyte"

// Reason says why a seed was sent.
type Reason uint8

// Reasons of a seed.
const (
	ReasonConnect    Reason = 1 // the session's first
	ReasonPeriodic   Reason = 2 // pushed by the host's schedule
	ReasonRequest    Reason = 3 // the guest asked
	ReasonGeneration Reason = 4 // a new generation began; only in a generation frame
)

// Seed carries entropy, drawn by the host for this frame alone. It travels as a
// seed frame or, when Reason is ReasonGeneration, as a generation frame:
// everything the guest derived from earlier seeds is void from then on.
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

func (m Seed) marshal(b *cryptobyte.Builder) {
	b.AddUint64(m.Sequence)
	b.AddUint64(m.Generation)
	b.AddUint16(m.Credit)
	b.AddUint8(uint8(m.Reason))
	b.AddUint8(0)
	b.AddUint32(m.Request)
	payload := m.Payload[:min(len(m.Payload), MaxSeed)]
	b.AddUint16(uint16(len(payload)))
	b.AddBytes(payload)
}

func parseSeed(t Type, p []byte) (m Seed, err error) {
	s := cryptobyte.String(p)
	var reserved uint8
	var payload cryptobyte.String
	read := s.ReadUint64(&m.Sequence) && s.ReadUint64(&m.Generation) && s.ReadUint16(&m.Credit) &&
		s.ReadUint8((*uint8)(&m.Reason)) &&
		s.ReadUint8(&reserved) && s.ReadUint32(&m.Request) && s.ReadUint16LengthPrefixed(&payload)
	m.Payload = payload
	if err := whole(t, s, read); err != nil {
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
