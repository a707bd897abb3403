package protocol

import (
	"time"

	"golang.org/x/crypto/cryptobyte"
)

// Welcome answers a hello. It tells the guest whom it talks to and what it may
// expect.
type Welcome struct {
	Version      uint8              // the version that the session speaks
	Degraded     bool               // the host has no healthy noise source left: seeds carry no credit
	Instance     [InstanceSize]byte // random, new at each start of the host
	Generation   uint64             // the current generation; compares within one instance only
	KeepAlive    time.Duration      // the host sends something at least this often (milliseconds on the wire)
	BudgetBytes  uint32             // the guest's budget in bytes...
	BudgetPeriod time.Duration      // ...per this period (milliseconds on the wire)
	MaxRequest   uint16             // largest request in bytes
}

const welcomeDegraded = 1 << 0

// Type implements [Message].
func (Welcome) Type() Type { return TypeWelcome }

func (m Welcome) marshal(b *cryptobyte.Builder) {
	var flags uint8
	if m.Degraded {
		flags |= welcomeDegraded
	}
	b.AddUint8(m.Version)
	b.AddUint8(flags)
	b.AddUint16(m.MaxRequest)
	b.AddBytes(m.Instance[:])
	b.AddUint64(m.Generation)
	b.AddUint32(milliseconds(m.KeepAlive))
	b.AddUint32(m.BudgetBytes)
	b.AddUint32(milliseconds(m.BudgetPeriod))
}

func parseWelcome(p []byte) (m Welcome, err error) {
	s := cryptobyte.String(p)
	var flags uint8
	var keepAlive, period uint32
	read := s.ReadUint8(&m.Version) && s.ReadUint8(&flags) && s.ReadUint16(&m.MaxRequest) &&
		s.CopyBytes(m.Instance[:]) && s.ReadUint64(&m.Generation) &&
		s.ReadUint32(&keepAlive) && s.ReadUint32(&m.BudgetBytes) && s.ReadUint32(&period)
	if err := whole(TypeWelcome, s, read); err != nil {
		return m, err
	}
	if flags&^welcomeDegraded != 0 {
		return m, fail(TypeWelcome, ErrMalformed, "unknown flags %#x", flags)
	}
	m.Degraded = flags&welcomeDegraded != 0
	m.KeepAlive, m.BudgetPeriod = time.Duration(keepAlive)*time.Millisecond, time.Duration(period)*time.Millisecond
	return m, nil
}
