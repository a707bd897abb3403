package protocol

import "golang.org/x/crypto/cryptobyte"

// Ping asks whether the other side is there.
type Ping struct{ Token uint64 }

// Type implements [Message].
func (Ping) Type() Type { return TypePing }

func (m Ping) marshal(b *cryptobyte.Builder) { b.AddUint64(m.Token) }

// Pong answers a ping with its token.
type Pong struct{ Token uint64 }

// Type implements [Message].
func (Pong) Type() Type { return TypePong }

func (m Pong) marshal(b *cryptobyte.Builder) { b.AddUint64(m.Token) }

func parseToken(t Type, p []byte) (token uint64, err error) {
	s := cryptobyte.String(p)
	read := s.ReadUint64(&token)
	return token, whole(t, s, read)
}
