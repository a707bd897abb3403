package protocol

import (
	"encoding/binary"
	"fmt"
)

// Type is the first byte of a frame.
type Type uint8

// Frame types. 0 is never sent, and no type is an upper-case letter: a protocol 1 guest begins with 'H'.
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

// Frame is one undecoded frame. Payload aliases the decoder's buffer and holds until the next call of
// [Decoder.Next], which wipes it.
type Frame struct {
	Type    Type
	Payload []byte
	raw     []byte // header and payload, what a MAC covers
}

// Message is one decoded message; see the types that implement it.
type Message interface {
	// Type is the message's frame type.
	Type() Type
	// append appends the payload without the MAC.
	append(b []byte) []byte
}

// appendFrame appends header and payload of m, leaving room in the length for a MAC of extra bytes.
func appendFrame(b []byte, m Message, extra int) []byte {
	start := len(b)
	b = append(b, byte(m.Type()), 0, 0, 0)
	b = m.append(b)
	binary.BigEndian.PutUint16(b[start+2:], uint16(len(b)-start-HeaderSize+extra))
	return b
}

// cursor reads a payload from front to back. After a short read every further read gives zeros and short stays set.
type cursor struct {
	b     []byte
	short bool
}

func (c *cursor) take(n int) []byte {
	if c.short || len(c.b) < n {
		c.short = true
		return nil
	}
	p := c.b[:n:n]
	c.b = c.b[n:]
	return p
}

func (c *cursor) u8() uint8 {
	if p := c.take(1); p != nil {
		return p[0]
	}
	return 0
}

func (c *cursor) u16() uint16 {
	if p := c.take(2); p != nil {
		return binary.BigEndian.Uint16(p)
	}
	return 0
}

func (c *cursor) u32() uint32 {
	if p := c.take(4); p != nil {
		return binary.BigEndian.Uint32(p)
	}
	return 0
}

func (c *cursor) u64() uint64 {
	if p := c.take(8); p != nil {
		return binary.BigEndian.Uint64(p)
	}
	return 0
}

// end says whether the payload was read exactly.
func (c *cursor) end(t Type) error {
	switch {
	case c.short:
		return fail(t, ErrMalformed, "payload ends early")
	case len(c.b) != 0:
		return fail(t, ErrMalformed, "%d bytes after the end", len(c.b))
	}
	return nil
}
