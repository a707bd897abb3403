package protocol

import (
	"fmt"

	"golang.org/x/crypto/cryptobyte"
)

// Type is the first byte of a frame.
type Type uint8

// Frame types. 0 is never sent, and no type is an upper-case letter: a protocol
// 1 guest begins with 'H'.
const (
	TypeHello      Type = 1  // guest to host: nonce, versions, label
	TypeWelcome    Type = 2  // host to guest: instance, generation, limits
	TypeSeed       Type = 3  // host to guest: entropy
	TypeRequest    Type = 4  // guest to host: ask for entropy now
	TypeRefusal    Type = 5  // host to guest: not now, retry after
	TypeGeneration Type = 6  // host to guest: a new generation, with its first seed
	TypeAck        Type = 7  // guest to host: what a seed reached
	TypePing       Type = 8  // both: are you there
	TypePong       Type = 9  // both: the answer, same token
	TypeClose      Type = 10 // both: the session ends, and why
)

var typeNames = [...]string{
	TypeHello: "hello", TypeWelcome: "welcome", TypeSeed: "seed", TypeRequest: "request", TypeRefusal: "refusal",
	TypeGeneration: "generation", TypeAck: "ack", TypePing: "ping", TypePong: "pong", TypeClose: "close",
}

func (t Type) String() string {
	if int(t) < len(typeNames) && typeNames[t] != "" {
		return typeNames[t]
	}
	return fmt.Sprintf("frame type %d", uint8(t))
}

// Frame is one undecoded frame. Payload aliases the decoder's buffer and holds
// until the next call of [Decoder.Next], which wipes it.
type Frame struct {
	Type    Type
	Payload []byte
	raw     []byte // header and payload, what a MAC covers
}

// Message is one decoded message; see the types that implement it.
type Message interface {
	// Type is the message's frame type.
	Type() Type
	// marshal adds the payload without the MAC.
	marshal(b *cryptobyte.Builder)
}

// appendFrame appends header and payload of m, and as many zeros as a MAC
// needs.
func appendFrame(b []byte, m Message, mac int) []byte {
	frame := cryptobyte.NewBuilder(b)
	frame.AddUint8(uint8(m.Type()))
	frame.AddUint8(0)
	frame.AddUint16LengthPrefixed(func(payload *cryptobyte.Builder) {
		m.marshal(payload)
		payload.AddBytes(make([]byte, mac))
	})
	return frame.BytesOrPanic() // no message is too long
}

// whole says whether a payload was read, all of it, and nothing is left of it.
func whole(t Type, rest cryptobyte.String, read bool) error {
	switch {
	case !read:
		return fail(t, ErrMalformed, "payload ends early")
	case !rest.Empty():
		return fail(t, ErrMalformed, "%d bytes after the end", len(rest))
	}
	return nil
}
