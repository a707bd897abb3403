package protocol

import "golang.org/x/crypto/cryptobyte"

// Hello opens a session of protocol 2: the first frame, from the guest.
type Hello struct {
	MinVersion, MaxVersion uint8           // the protocol versions that the guest speaks
	Kernel                 bool            // the guest feeds its kernel's RNG too
	Nonce                  [NonceSize]byte // fresh for each session
	// for display only, never an identity: printable UTF-8 of at most MaxLabel
	// bytes
	Label string
}

// helloMagic starts every hello's payload, so that a stray byte 1 on a console
// is not taken for one.
const helloMagic = "xentropy"

const helloKernel = 1 << 0

// Type implements [Message].
func (Hello) Type() Type { return TypeHello }

func (m Hello) marshal(b *cryptobyte.Builder) {
	var flags uint16
	if m.Kernel {
		flags |= helloKernel
	}
	b.AddBytes([]byte(helloMagic))
	b.AddUint8(m.MinVersion)
	b.AddUint8(m.MaxVersion)
	b.AddUint16(flags)
	b.AddBytes(m.Nonce[:])
	addText(b, m.Label, MaxLabel)
}

func parseHello(p []byte) (m Hello, err error) {
	s := cryptobyte.String(p)
	var magic []byte
	if !s.ReadBytes(&magic, len(helloMagic)) || string(magic) != helloMagic {
		return m, fail(TypeHello, ErrMalformed, "does not begin with %q", helloMagic)
	}
	var flags uint16
	var label cryptobyte.String
	read := s.ReadUint8(&m.MinVersion) && s.ReadUint8(&m.MaxVersion) && s.ReadUint16(&flags) &&
		s.CopyBytes(m.Nonce[:]) && s.ReadUint8LengthPrefixed(&label)
	if err := whole(TypeHello, s, read); err != nil {
		return m, err
	}
	if m.Label, err = text(TypeHello, label, MaxLabel); err != nil {
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
