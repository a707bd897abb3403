package main

import (
	"crypto/rand"
	"time"

	"github.com/xentropyd/xentropyd/protocol"
)

// session is protocol 2 on a channel, as far as a guest likes.
type session struct {
	o     *offer
	proto *protocol.Guest
	dec   *protocol.Decoder
	label string
}

func newSession(o *offer) *session { return &session{o: o, label: "hostile"} }

// hello gives the first frame.
func (s *session) hello() []byte {
	h := protocol.Hello{Kernel: true, Label: s.label}
	_, _ = rand.Read(h.Nonce[:])
	s.proto = protocol.NewGuest(h)
	s.dec = protocol.NewGuestDecoder(s.o)
	return s.proto.AppendHello(nil)
}

// open says hello and takes the welcome.
func (s *session) open() bool {
	if _, err := s.o.Write(s.hello()); err != nil {
		return false
	}
	m, err := s.next()
	if _, ok := m.(protocol.Welcome); err != nil || !ok {
		return false
	}
	s.o.g.count("sessions", 1)
	return true
}

// next gives what the host says.
func (s *session) next() (protocol.Message, error) {
	f, err := s.dec.Next()
	if err != nil {
		return nil, err
	}
	return s.proto.Open(f)
}

// seed waits for a seed.
func (s *session) seed() (protocol.Seed, bool) {
	for {
		m, err := s.next()
		if err != nil {
			return protocol.Seed{}, false
		}
		if m, ok := m.(protocol.Seed); ok {
			s.o.g.count("seeds", 1)
			return m, true
		}
	}
}

func (s *session) send(m protocol.Message) bool {
	_, err := s.o.Write(s.proto.Append(nil, m))
	if err == nil {
		s.o.g.count("frames", 1)
	}
	return err == nil
}

// silent lets the host connect and then does ever less than it should.
func silent(g *guest) error {
	return g.taken(func(n int, o *offer) {
		s := newSession(o)
		hello := s.hello()
		switch n % 4 {
		case 0: // nothing
		case 1: // half a hello
			_, _ = o.Write(hello[:len(hello)/2])
		case 2: // asks for ever and reads nothing: the ring fills up with refusals
			_, _ = o.Write(hello)
			for i := uint32(1); !g.over() && !o.gone(); i++ {
				if o.out-o.word(rightCons).Load() < rightSize/2 {
					s.send(protocol.Request{ID: i, Bytes: 1})
				}
				time.Sleep(time.Millisecond)
			}
		case 3: // a hello's first byte, and another one every second
			for i := range hello {
				if _, err := o.Write(hello[i : i+1]); err != nil || g.over() {
					break
				}
				g.pause(time.Second)
			}
		}
		g.until(10*time.Second, o.gone)
	})
}

// byteByByte sends frames that are right one byte and one event at a time: the
// next when the host has taken the one before.
func byteByByte(g *guest) error {
	return g.taken(func(_ int, o *offer) {
		s := newSession(o)
		frames := s.hello()
		hello := len(frames)
		for range 64 {
			frames = append(frames, s.proto.Append(nil, protocol.Ping{Token: 1})...)
		}
		for i := 0; !g.over() && !o.gone(); i++ {
			if i == len(frames) {
				i = hello
			}
			if _, err := o.Write(frames[i : i+1]); err != nil {
				break
			}
			g.count("bytes", 1)
			for spin := 0; o.word(rightCons).Load() != o.out && spin < 100_000; spin++ {
			}
			o.skip()
		}
	})
}

// wrong are what a guest must not say once it has a seed.
var wrong = []func(s *session, m protocol.Seed){
	func(s *session, m protocol.Seed) { // the same acknowledgement twice
		for range 2 {
			s.ack(m, protocol.Outcome{Target: protocol.TargetLibrary, OK: true, Credit: m.Credit})
		}
	},
	func(s *session, m protocol.Seed) { // of what never came
		m.Sequence++
		s.ack(m, protocol.Outcome{Target: protocol.TargetKernel, OK: true, Credit: 256})
	},
	func(s *session, m protocol.Seed) { // of a generation that is none yet
		m.Generation++
		s.ack(m, protocol.Outcome{Target: protocol.TargetKernel, OK: true, Credit: 1})
	},
	func(s *session, m protocol.Seed) { // for more than it was worth
		s.ack(m, protocol.Outcome{Target: protocol.TargetKernel, OK: true, Credit: 65535})
	},
	func(s *session, m protocol.Seed) { // of a target twice
		o := protocol.Outcome{Target: protocol.TargetKernel, OK: true, Credit: m.Credit}
		s.ack(m, o, o)
	},
	func(s *session, _ protocol.Seed) { s.send(protocol.Request{ID: 1, Bytes: 65535}) },
	func(s *session, _ protocol.Seed) { s.send(protocol.Request{ID: 0, Bytes: 1}) },
	func(s *session, _ protocol.Seed) { s.o.Write([]byte{3, 0, 255, 255}) },
	func(s *session, _ protocol.Seed) { s.o.Write(s.hello()) },
	func(s *session, _ protocol.Seed) { s.send(protocol.Close{Text: "good bye"}) },
	func(s *session, _ protocol.Seed) { // questions without end: each byte is drawn by itself
		for i := uint32(1); i < 2000 && s.send(protocol.Request{ID: i, Bytes: one([]uint16{1, 1, 1, 1024})}); i++ {
			s.o.skip()
		}
	},
	func(s *session, _ protocol.Seed) { // pongs to nothing, and pings
		for i := uint64(1); i < 300 && s.send(protocol.Pong{Token: i}) && s.send(protocol.Ping{Token: i}); i++ {
			s.o.skip()
		}
	},
}

// ack acknowledges a seed.
func (s *session) ack(m protocol.Seed, outcomes ...protocol.Outcome) {
	s.send(protocol.Ack{Sequence: m.Sequence, Generation: m.Generation, Outcomes: outcomes})
}

// breakProtocol says a hello that is right, and then what it must not.
func breakProtocol(g *guest) error {
	return g.taken(func(n int, o *offer) {
		s := newSession(o)
		s.label = one([]string{"hostile", "\x1b[2J", "Domain-0", "", string([]rune{0x202e, 'a'})})
		if !s.open() {
			return
		}
		if m, ok := s.seed(); ok {
			wrong[n%len(wrong)](s, m)
			g.until(500*time.Millisecond, o.gone)
		}
	})
}
