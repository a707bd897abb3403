package protocol

import (
	"encoding/binary"
	"time"
)

// Welcome answers a hello. It tells the guest whom it talks to and what it may expect.
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

func (m Welcome) append(b []byte) []byte {
	var flags uint8
	if m.Degraded {
		flags |= welcomeDegraded
	}
	b = append(b, m.Version, flags)
	b = binary.BigEndian.AppendUint16(b, m.MaxRequest)
	b = append(b, m.Instance[:]...)
	b = binary.BigEndian.AppendUint64(b, m.Generation)
	b = binary.BigEndian.AppendUint32(b, milliseconds(m.KeepAlive))
	b = binary.BigEndian.AppendUint32(b, m.BudgetBytes)
	return binary.BigEndian.AppendUint32(b, milliseconds(m.BudgetPeriod))
}

func parseWelcome(p []byte) (Welcome, error) {
	c := cursor{b: p}
	var m Welcome
	m.Version = c.u8()
	flags := c.u8()
	m.MaxRequest = c.u16()
	copy(m.Instance[:], c.take(InstanceSize))
	m.Generation = c.u64()
	m.KeepAlive = time.Duration(c.u32()) * time.Millisecond
	m.BudgetBytes = c.u32()
	m.BudgetPeriod = time.Duration(c.u32()) * time.Millisecond
	if err := c.end(TypeWelcome); err != nil {
		return m, err
	}
	if flags&^welcomeDegraded != 0 {
		return m, fail(TypeWelcome, ErrMalformed, "unknown flags %#x", flags)
	}
	m.Degraded = flags&welcomeDegraded != 0
	return m, nil
}
