package protocol

import (
	"crypto/hmac"
)

// Guest is the guest's side of one session of protocol 2. Not safe for
// concurrent use.
type Guest struct {
	hello      Hello
	mac        *mac
	count      uint64 // host frames opened
	welcomed   bool
	closed     bool
	sequence   uint64
	generation uint64
}

// NewGuest returns a session that opens with hello. The nonce must be fresh: a
// used one lets old frames pass. The version fields are filled in.
func NewGuest(hello Hello) *Guest {
	hello.MinVersion, hello.MaxVersion = Version, Version
	return &Guest{hello: hello, mac: newMAC(&hello.Nonce)}
}

// AppendHello appends the session's first frame.
func (g *Guest) AppendHello(b []byte) []byte { return appendFrame(b, g.hello, 0) }

// Append appends a frame with m: a Request, Ack, Ping, Pong or Close.
func (g *Guest) Append(b []byte, m Message) []byte { return appendFrame(b, m, 0) }

// Open verifies a frame of the host and decodes it: a Welcome first, then Seed,
// Refusal, Ping, Pong or Close. A seed is returned only if it was made for this
// session, is the next in sequence and belongs to the current generation.
// Payload bytes alias the frame. After an error the session must be given up.
func (g *Guest) Open(f Frame) (Message, error) {
	if g.closed {
		return nil, fail(f.Type, ErrUnexpected, "after a close")
	}
	body := len(f.raw) - MACSize
	if body < HeaderSize {
		return nil, fail(f.Type, ErrMalformed, "no room for its authentication code")
	}
	if !hmac.Equal(g.mac.append(nil, g.count, f.raw[:body]), f.raw[body:]) {
		return nil, fail(f.Type, ErrMAC, "frame %d of the session", g.count)
	}
	g.count++
	m, err := parseHostFrame(f.Type, f.raw[HeaderSize:body])
	if err != nil {
		return nil, err
	}
	if err := g.accept(m); err != nil {
		return nil, err
	}
	return m, nil
}

// accept checks a message against the session's state and moves it on.
func (g *Guest) accept(m Message) error {
	switch m := m.(type) {
	case Welcome:
		if g.welcomed {
			return fail(TypeWelcome, ErrUnexpected, "a second one")
		}
		if m.Version != Version {
			return fail(TypeWelcome, ErrVersion, "host chose %d, offered was %d", m.Version, Version)
		}
		g.welcomed, g.generation = true, m.Generation
		return nil
	case Close:
		g.closed = true
		return nil
	}
	if !g.welcomed {
		return fail(m.Type(), ErrUnexpected, "before the welcome")
	}
	if m, ok := m.(Seed); ok {
		if m.Sequence != g.sequence+1 {
			return fail(m.Type(), ErrSequence, "%d after %d", m.Sequence, g.sequence)
		}
		begins := m.Type() == TypeGeneration
		if begins && m.Generation <= g.generation || !begins && m.Generation != g.generation {
			return fail(m.Type(), ErrGeneration, "%d while in %d", m.Generation, g.generation)
		}
		g.sequence, g.generation = m.Sequence, m.Generation
	}
	return nil
}

func parseHostFrame(t Type, p []byte) (Message, error) {
	switch t {
	case TypeWelcome:
		return parseWelcome(p)
	case TypeSeed, TypeGeneration:
		return parseSeed(t, p)
	case TypeRefusal:
		return parseRefusal(p)
	}
	return parseEither(t, p)
}

// parseEither decodes the frames that both sides may send.
func parseEither(t Type, p []byte) (Message, error) {
	switch t {
	case TypePing:
		token, err := parseToken(t, p)
		return Ping{token}, err
	case TypePong:
		token, err := parseToken(t, p)
		return Pong{token}, err
	case TypeClose:
		return parseClose(p)
	}
	return nil, fail(t, ErrUnexpected, "not from this side")
}
