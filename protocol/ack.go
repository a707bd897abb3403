package protocol

import "golang.org/x/crypto/cryptobyte"

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

// Ack tells the host what a seed reached, one outcome a target; a guest must
// never claim what did not happen.
type Ack struct {
	Sequence   uint64
	Generation uint64
	Outcomes   []Outcome // at most MaxTargets

	// Forgotten is not sent. Host.Open sets it when so many later seeds were
	// unacknowledged that the host does not know any more what this one was
	// worth, or whether it was acknowledged before: nothing should be counted
	// then.
	Forgotten bool
}

// Type implements [Message].
func (Ack) Type() Type { return TypeAck }

func (m Ack) marshal(b *cryptobyte.Builder) {
	b.AddUint64(m.Sequence)
	b.AddUint64(m.Generation)
	outcomes := m.Outcomes[:min(len(m.Outcomes), MaxTargets)]
	b.AddUint8(uint8(len(outcomes)))
	for _, o := range outcomes {
		status := uint8(1)
		if o.OK {
			status = 0
		}
		b.AddUint8(uint8(o.Target))
		b.AddUint8(status)
		b.AddUint16(o.Credit)
		addText(b, o.Detail, MaxDetail)
	}
}

func parseAck(p []byte) (m Ack, err error) {
	s := cryptobyte.String(p)
	var n uint8
	ok := s.ReadUint64(&m.Sequence) && s.ReadUint64(&m.Generation) && s.ReadUint8(&n)
	if n > MaxTargets {
		return m, fail(TypeAck, ErrMalformed, "%d targets, at most %d", n, MaxTargets)
	}
	for range n {
		var o Outcome
		var status uint8
		var detail cryptobyte.String
		if ok = ok && s.ReadUint8((*uint8)(&o.Target)) && s.ReadUint8(&status) && s.ReadUint16(&o.Credit) &&
			s.ReadUint8LengthPrefixed(&detail); !ok {
			break
		}
		if o.Target < TargetLibrary || o.Target > TargetApplication || status > 1 {
			return m, fail(TypeAck, ErrMalformed, "target %d with status %d", o.Target, status)
		}
		o.OK = status == 0
		if o.Detail, err = text(TypeAck, detail, MaxDetail); err != nil {
			return m, err
		}
		m.Outcomes = append(m.Outcomes, o)
	}
	return m, whole(TypeAck, s, ok)
}
