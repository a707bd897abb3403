package protocol

import (
	"encoding/binary"
)

// Hello opens a session of protocol 2: the first frame, from the guest.
type Hello struct {
	MinVersion, MaxVersion uint8           // the protocol versions that the guest speaks
	Kernel                 bool            // the guest feeds its kernel's RNG too
	Nonce                  [NonceSize]byte // fresh for each session
	Label                  string          // for display only, never an identity: printable UTF-8 of at most MaxLabel bytes
}

// helloMagic starts every hello's payload, so that a stray byte 1 on a console is not taken for one.
const helloMagic = "xentropy"

const helloKernel = 1 << 0

// Type implements [Message].
func (Hello) Type() Type { return TypeHello }

func (m Hello) append(b []byte) []byte {
	b = append(b, helloMagic...)
	var flags uint16
	if m.Kernel {
		flags |= helloKernel
	}
	b = append(b, m.MinVersion, m.MaxVersion)
	b = binary.BigEndian.AppendUint16(b, flags)
	b = append(b, m.Nonce[:]...)
	return appendText(b, m.Label, MaxLabel)
}

func parseHello(p []byte) (Hello, error) {
	c := cursor{b: p}
	var m Hello
	if string(c.take(len(helloMagic))) != helloMagic {
		return m, fail(TypeHello, ErrMalformed, "does not begin with %q", helloMagic)
	}
	m.MinVersion, m.MaxVersion = c.u8(), c.u8()
	flags := c.u16()
	copy(m.Nonce[:], c.take(NonceSize))
	label, err := c.text(TypeHello, MaxLabel)
	if err != nil {
		return m, err
	}
	m.Label = label
	if err := c.end(TypeHello); err != nil {
		return m, err
	}
	if flags&^helloKernel != 0 {
		return m, fail(TypeHello, ErrMalformed, "unknown flags %#x", flags)
	}
	if m.MinVersion > m.MaxVersion {
		return m, fail(TypeHello, ErrMalformed, "versions %d to %d", m.MinVersion, m.MaxVersion)
	}
	m.Kernel = flags&helloKernel != 0
	return m, nil
}
