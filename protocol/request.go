package protocol

import (
	"encoding/binary"
)

// Request asks for entropy now.
type Request struct {
	ID    uint32 // chosen by the guest, not 0; the answer names it
	Bytes uint16 // 1 to MaxSeed
}

// Type implements [Message].
func (Request) Type() Type { return TypeRequest }

func (m Request) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, m.ID)
	return binary.BigEndian.AppendUint16(b, m.Bytes)
}

func parseRequest(p []byte) (Request, error) {
	c := cursor{b: p}
	m := Request{ID: c.u32(), Bytes: c.u16()}
	if err := c.end(TypeRequest); err != nil {
		return m, err
	}
	if m.ID == 0 || m.Bytes == 0 || m.Bytes > MaxSeed {
		return m, fail(TypeRequest, ErrMalformed, "identifier %d, %d bytes (1 to %d may be asked for)", m.ID, m.Bytes, MaxSeed)
	}
	return m, nil
}
