package protocol

import (
	"encoding/binary"
)

// Target is something in the guest that a seed was meant for.
type Target uint8

// Targets of an acknowledgement.
const (
	TargetLibrary     Target = 1 // the guest library's own generator
	TargetKernel      Target = 2 // the guest kernel's RNG
	TargetApplication Target = 3 // something that the guest's program feeds itself
)

func (t Target) String() string {
	switch t {
	case TargetLibrary:
		return "library"
	case TargetKernel:
		return "kernel"
	case TargetApplication:
		return "application"
	}
	return "unknown target"
}

// Outcome is what became of one target.
type Outcome struct {
	Target Target
	OK     bool   // false: the target was not reseeded, Detail says why
	Credit uint16 // bits that the target was credited
	Detail string // printable UTF-8 of at most MaxDetail bytes
}

// Ack tells the host what a seed reached, one outcome a target; a guest must never claim what did not happen.
type Ack struct {
	Sequence   uint64
	Generation uint64
	Outcomes   []Outcome // at most MaxTargets

	// Forgotten is not sent. Host.Open sets it when so many later seeds were unacknowledged that the host does not know any more
	// what this one was worth, or whether it was acknowledged before: nothing should be counted then.
	Forgotten bool
}

// Type implements [Message].
func (Ack) Type() Type { return TypeAck }

func (m Ack) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, m.Sequence)
	b = binary.BigEndian.AppendUint64(b, m.Generation)
	outcomes := m.Outcomes[:min(len(m.Outcomes), MaxTargets)]
	b = append(b, byte(len(outcomes)))
	for _, o := range outcomes {
		status := byte(1)
		if o.OK {
			status = 0
		}
		b = append(b, byte(o.Target), status)
		b = binary.BigEndian.AppendUint16(b, o.Credit)
		b = appendText(b, o.Detail, MaxDetail)
	}
	return b
}

func parseAck(p []byte) (Ack, error) {
	c := cursor{b: p}
	m := Ack{Sequence: c.u64(), Generation: c.u64()}
	n := int(c.u8())
	if n > MaxTargets {
		return m, fail(TypeAck, ErrMalformed, "%d targets, at most %d", n, MaxTargets)
	}
	for range n {
		o := Outcome{Target: Target(c.u8())}
		status := c.u8()
		o.Credit = c.u16()
		detail, err := c.text(TypeAck, MaxDetail)
		if err != nil {
			return m, err
		}
		if o.Target < TargetLibrary || o.Target > TargetApplication || status > 1 {
			return m, fail(TypeAck, ErrMalformed, "target %d with status %d", o.Target, status)
		}
		o.OK, o.Detail = status == 0, detail
		m.Outcomes = append(m.Outcomes, o)
	}
	return m, c.end(TypeAck)
}
