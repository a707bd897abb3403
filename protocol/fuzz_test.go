package protocol

import (
	"bytes"
	"testing"

	"golang.org/x/crypto/cryptobyte"
)

// FuzzHost gives a host arbitrary bytes of a guest: nothing panics, and what is
// accepted encodes to the same bytes again.
func FuzzHost(f *testing.F) {
	g := NewGuest(Hello{Label: "x"})
	hello := g.AppendHello(nil)
	f.Add(hello)
	for _, m := range []Message{
		Request{ID: 1, Bytes: 9},
		Ack{Sequence: 1, Outcomes: []Outcome{{Target: 1, OK: true, Detail: "d"}}},
		Ping{1},
		Pong{1},
		Close{Reason: 1, Text: "t"},
	} {
		f.Add(g.Append(bytes.Clone(hello), m))
	}
	f.Add([]byte(V1Request))
	f.Fuzz(func(t *testing.T, stream []byte) {
		d := NewHostDecoder(bytes.NewReader(stream))
		first, err := d.Next()
		if err != nil {
			return
		}
		raw := bytes.Clone(first.raw)
		h, hello, err := NewHost(first)
		if h == nil {
			return
		}
		if again := appendFrame(nil, hello, 0); !bytes.Equal(raw, again) {
			t.Fatalf("hello %x was read as %x", raw, again)
		}
		h.Append(nil, Welcome{})
		h.Append(nil, Seed{Payload: []byte{1}})
		for err == nil {
			var fr Frame
			if fr, err = d.Next(); err != nil {
				break
			}
			var m Message
			if m, err = h.Open(fr); err == nil && !bytes.Equal(fr.raw, appendFrame(nil, m, 0)) {
				t.Fatalf("%s %x was read as %+v", fr.Type, fr.raw, m)
			}
		}
	})
}

// FuzzGuest gives a guest arbitrary payloads of a host, with a MAC that fits so
// that the parsers are reached.
func FuzzGuest(f *testing.F) {
	for _, m := range []Message{
		Welcome{Version: 2},
		Seed{Reason: 2, Payload: []byte{1}},
		Seed{Generation: 1, Reason: 4, Payload: []byte{1}},
		Refusal{Reason: 1},
		Ping{1},
		Pong{1},
		Close{Reason: 1, Text: "t"},
	} {
		f.Add(byte(m.Type()), encoded(m))
	}
	f.Fuzz(func(t *testing.T, kind byte, payload []byte) {
		if len(payload)+MACSize > MaxHostPayload {
			return
		}
		g := NewGuest(Hello{})
		g.welcomed = kind != byte(TypeWelcome)
		n := len(payload) + MACSize
		raw := append([]byte{kind, 0, byte(n >> 8), byte(n)}, payload...)
		raw = g.mac.append(raw, 0, raw)
		m, err := g.Open(Frame{Type: Type(kind), Payload: raw[HeaderSize:], raw: raw})
		if err == nil && !bytes.Equal(encoded(m), payload) {
			t.Fatalf("%s %x was read as %+v", Type(kind), payload, m)
		}
	})
}

// FuzzV1Matcher compares the matcher with a search in the whole stream,
// whatever the pieces.
func FuzzV1Matcher(f *testing.F) {
	f.Add([]byte("Hello, may I Hello, may I have some entropy?\r\nabc"), uint8(3))
	f.Fuzz(func(t *testing.T, stream []byte, size uint8) {
		if len(stream) > v1Junk {
			return
		}
		want := bytes.Index(stream, []byte(V1Request))
		m := NewV1RequestMatcher()
		for at := 0; at < len(stream); {
			n := min(int(size)+1, len(stream)-at)
			rest, found, err := m.Feed(stream[at : at+n])
			if err != nil {
				t.Fatal(err)
			}
			at += n
			if found {
				if end := at - len(rest); end != want+len(V1Request) {
					t.Fatalf("found up to %d, it stands at %d", end, want)
				}
				return
			}
		}
		if want >= 0 {
			t.Fatalf("not found at %d", want)
		}
	})
}

// encoded is a message's, as it is sent.
func encoded(m Message) []byte {
	var b cryptobyte.Builder
	m.marshal(&b)
	return b.BytesOrPanic()
}
