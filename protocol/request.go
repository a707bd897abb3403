package protocol

import "golang.org/x/crypto/cryptobyte"

// Request asks for entropy now.
type Request struct {
	ID    uint32 // chosen by the guest, not 0; the answer names it
	Bytes uint16 // 1 to MaxSeed
}

// Type implements [Message].
func (Request) Type() Type { return TypeRequest }

func (m Request) marshal(b *cryptobyte.Builder) {
	b.AddUint32(m.ID)
	b.AddUint16(m.Bytes)
}

func parseRequest(p []byte) (m Request, err error) {
	s := cryptobyte.String(p)
	read := s.ReadUint32(&m.ID) && s.ReadUint16(&m.Bytes)
	if err := whole(TypeRequest, s, read); err != nil {
		return m, err
	}
	if m.ID == 0 || m.Bytes == 0 || m.Bytes > MaxSeed {
		return m, fail(TypeRequest, ErrMalformed,
			"identifier %d, %d bytes (1 to %d may be asked for)", m.ID, m.Bytes, MaxSeed)
	}
	return m, nil
}
