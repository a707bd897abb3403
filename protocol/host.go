package protocol

import (
	"slices"
)

// Host is the host's side of one session of protocol 2. Not safe for concurrent
// use.
type Host struct {
	mac        *mac
	count      uint64 // host frames sealed
	sequence   uint64 // of the last seed
	generation uint64 // of the last welcome or seed
	unacked    []sent // seeds that wait for their acknowledgement, in order
	forgotten  uint64 // up to this sequence number nothing is known any more of who acknowledged what
	version    uint8
}

// NewHost opens a session with the guest's first frame. If the two have no
// version in common the error is [ErrVersion] and the session is still good for
// one Close.
func NewHost(f Frame) (*Host, Hello, error) {
	if f.Type != TypeHello {
		return nil, Hello{}, fail(f.Type, ErrUnexpected, "before the hello")
	}
	hello, err := parseHello(f.Payload)
	if err != nil {
		return nil, Hello{}, err
	}
	h := &Host{mac: newMAC(&hello.Nonce), version: Version}
	if hello.MinVersion > Version || hello.MaxVersion < Version {
		return h, hello, fail(TypeHello, ErrVersion, "guest speaks %d to %d, this host %d", hello.MinVersion,
			hello.MaxVersion, Version)
	}
	return h, hello, nil
}

// Append appends a sealed frame with m: a Welcome first, then Seed, Refusal,
// Ping, Pong or Close. A welcome's version and a seed's sequence number are
// filled in. The caller must send every frame it had appended, in order, and
// wipe b.
func (h *Host) Append(b []byte, m Message) []byte {
	switch v := m.(type) {
	case Welcome:
		v.Version = h.version
		h.generation = v.Generation
		m = v
	case Seed:
		h.sequence++
		v.Sequence = h.sequence
		h.generation = v.Generation
		h.remember(v)
		m = v
	}
	start := len(b)
	b = appendFrame(b, m, MACSize)
	b = b[:len(b)-MACSize]
	b = h.mac.append(b, h.count, b[start:])
	h.count++
	return b
}

// Sequence is the number of the last seed that was appended.
func (h *Host) Sequence() uint64 { return h.sequence }

// Open decodes a frame of the guest: Request, Ack, Ping, Pong or Close. An
// acknowledgement of something that was never sent, or a second one of the
// same, is an error; one of a seed that the host has forgotten is marked
// [Ack.Forgotten]. After an error the session must be given up.
func (h *Host) Open(f Frame) (Message, error) {
	switch f.Type {
	case TypeRequest:
		return parseRequest(f.Payload)
	case TypeAck:
		m, err := parseAck(f.Payload)
		if err == nil {
			err = h.settle(&m)
		}
		return m, err
	}
	return parseEither(f.Type, f.Payload)
}

// sent is a seed whose acknowledgement has not come.
type sent struct {
	sequence, generation uint64
	credit               uint16
}

// maxUnacked bounds how many seeds a guest may leave unacknowledged before the
// oldest is forgotten. The host itself causes more of them at will: each new
// generation is a seed.
const maxUnacked = 32

func (h *Host) remember(m Seed) {
	if len(h.unacked) == maxUnacked {
		h.forgotten = h.unacked[0].sequence
		h.unacked = slices.Delete(h.unacked, 0, 1)
	}
	h.unacked = append(h.unacked, sent{m.Sequence, m.Generation, m.Credit})
}

// settle accepts one acknowledgement of each seed, for the generation it was
// sent in, of each target once, and of no more credit than the seed had. Of a
// seed that was forgotten it can tell none of that but the targets, and marks
// the acknowledgement.
func (h *Host) settle(m *Ack) error {
	var seen [TargetApplication + 1]bool
	for _, o := range m.Outcomes {
		if o.Target != TargetApplication && seen[o.Target] {
			return fail(TypeAck, ErrMalformed, "two outcomes for the %s", o.Target)
		}
		seen[o.Target] = true
	}
	if 0 < m.Sequence && m.Sequence <= h.forgotten && m.Generation <= h.generation {
		m.Forgotten = true
		return nil
	}
	i := slices.IndexFunc(h.unacked, func(s sent) bool {
		return s.sequence == m.Sequence &&
			s.generation == m.Generation
	})
	if i < 0 {
		return fail(TypeAck, ErrUnexpected,
			"seed %d of generation %d was not sent, or was acknowledged before", m.Sequence, m.Generation)
	}
	for _, o := range m.Outcomes {
		if o.Credit > h.unacked[i].credit {
			return fail(TypeAck, ErrMalformed, "%d bits credited of %d", o.Credit, h.unacked[i].credit)
		}
	}
	h.unacked = slices.Delete(h.unacked, i, i+1)
	return nil
}

// Peek says which protocol a guest speaks from the first byte it sent: 2 for a
// hello frame, 1 for anything else, which a [V1Matcher] then looks at.
func Peek(first byte) int {
	if Type(first) == TypeHello {
		return 2
	}
	return 1
}
