package protocol

import (
	"encoding/binary"
)

// Ping asks whether the other side is there.
type Ping struct{ Token uint64 }

// Type implements [Message].
func (Ping) Type() Type { return TypePing }

func (m Ping) append(b []byte) []byte { return binary.BigEndian.AppendUint64(b, m.Token) }

// Pong answers a ping with its token.
type Pong struct{ Token uint64 }

// Type implements [Message].
func (Pong) Type() Type { return TypePong }

func (m Pong) append(b []byte) []byte { return binary.BigEndian.AppendUint64(b, m.Token) }

func parseToken(t Type, p []byte) (uint64, error) {
	c := cursor{b: p}
	token := c.u64()
	return token, c.end(t)
}
