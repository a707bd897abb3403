package protocol

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/cryptobyte"
)

func next(t *testing.T, d *Decoder) Frame {
	t.Helper()
	f, err := d.Next()
	require.NoError(t, err)
	return f
}

// frameOf cuts one frame out of b.
func frameOf(t *testing.T, b []byte) Frame {
	t.Helper()
	return next(t, NewGuestDecoder(bytes.NewReader(slices.Clone(b))))
}

// pair returns the two sides of a session, nonce and all, before the welcome.
func pair(t *testing.T, nonce byte) (*Host, *Guest) {
	t.Helper()
	g := NewGuest(Hello{Nonce: [NonceSize]byte{nonce}})
	h, _, err := NewHost(frameOf(t, g.AppendHello(nil)))
	require.NoError(t, err)
	return h, g
}

// welcomed returns the two sides of a session in generation 5.
func welcomed(t *testing.T, nonce byte) (*Host, *Guest) {
	t.Helper()
	h, g := pair(t, nonce)
	_, err := g.Open(frameOf(t, h.Append(nil, Welcome{Generation: 5})))
	require.NoError(t, err)
	return h, g
}

func seedOf(generation uint64, reason Reason) Seed {
	return Seed{Generation: generation, Reason: reason, Credit: 8, Payload: []byte{1}}
}

func TestGuestRefuses(t *testing.T) {
	other, _ := welcomed(t, 2)
	stale := other.Append(nil, seedOf(5, ReasonPeriodic))
	for name, c := range map[string]struct {
		frames func(h *Host) [][]byte // the last one must be refused
		want   error
	}{
		"frame of another session": {func(*Host) [][]byte { return [][]byte{stale} }, ErrMAC},
		"replay in the session": {func(h *Host) [][]byte {
			f := h.Append(nil, seedOf(5, ReasonPeriodic))
			return [][]byte{f, f}
		}, ErrMAC},
		"frame left out": {func(h *Host) [][]byte {
			h.Append(nil, seedOf(5, ReasonPeriodic))
			return [][]byte{h.Append(nil, seedOf(5, ReasonPeriodic))}
		}, ErrMAC},
		"payload altered": {func(h *Host) [][]byte {
			f := h.Append(nil, seedOf(5, ReasonPeriodic))
			f[len(f)-MACSize-1] ^= 1
			return [][]byte{f}
		}, ErrMAC},
		"header altered": {func(h *Host) [][]byte {
			f := h.Append(nil, seedOf(5, ReasonPeriodic))
			f[0] = byte(TypeGeneration)
			return [][]byte{f}
		}, ErrMAC},
		"sequence skipped": {func(h *Host) [][]byte {
			h.sequence++
			return [][]byte{h.Append(nil, seedOf(5, ReasonPeriodic))}
		}, ErrSequence},
		"earlier generation": {func(h *Host) [][]byte {
			return [][]byte{h.Append(nil, seedOf(6, ReasonGeneration)), h.Append(nil, seedOf(5, ReasonPeriodic))}
		}, ErrGeneration},
		"later generation without its frame": {func(h *Host) [][]byte {
			return [][]byte{h.Append(nil, seedOf(6, ReasonPeriodic))}
		}, ErrGeneration},
		"generation begun again": {func(h *Host) [][]byte {
			return [][]byte{h.Append(nil, seedOf(5, ReasonGeneration))}
		}, ErrGeneration},
		"second welcome": {func(h *Host) [][]byte { return [][]byte{h.Append(nil, Welcome{})} }, ErrUnexpected},
		"after a close": {func(h *Host) [][]byte {
			return [][]byte{h.Append(nil, Close{Reason: CloseDone}), h.Append(nil, Ping{})}
		}, ErrUnexpected},
		"a request": {func(h *Host) [][]byte {
			return [][]byte{h.Append(nil,
				Request{ID: 1, Bytes: 1})}
		}, ErrUnexpected},
		"no room for a MAC": {func(h *Host) [][]byte {
			return [][]byte{appendFrame(nil, Ping{}, 0)}
		}, ErrMalformed},
		"no entropy in a seed": {func(h *Host) [][]byte {
			return [][]byte{h.Append(nil, Seed{Generation: 5, Reason: ReasonPeriodic})}
		}, ErrMalformed},
		"credit over the bytes": {func(h *Host) [][]byte {
			return [][]byte{h.Append(nil, Seed{Generation: 5, Reason: ReasonPeriodic, Credit: 9, Payload: []byte{1}})}
		}, ErrMalformed},
		"request number without request": {func(h *Host) [][]byte {
			return [][]byte{h.Append(nil, Seed{Generation: 5, Reason: ReasonPeriodic, Request: 3, Payload: []byte{1}})}
		}, ErrMalformed},
		"unknown refusal": {func(h *Host) [][]byte {
			return [][]byte{h.Append(nil,
				Refusal{Reason: 5})}
		}, ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			h, g := welcomed(t, 1)
			frames := c.frames(h)
			for _, f := range frames[:len(frames)-1] {
				_, err := g.Open(frameOf(t, f))
				require.NoError(t, err)
			}
			m, err := g.Open(frameOf(t, frames[len(frames)-1]))
			require.ErrorIs(t, err, c.want)
			require.Nil(t, m)
			var perr *Error
			require.ErrorAs(t, err, &perr)
		})
	}
}

func TestGuestRefusesSeedBeforeWelcome(t *testing.T) {
	h, g := pair(t, 1)
	_, err := g.Open(frameOf(t, h.Append(nil, seedOf(0, ReasonConnect))))
	require.ErrorIs(t, err, ErrUnexpected)
}

func TestHostRefuses(t *testing.T) {
	h, g := welcomed(t, 1)
	for range 2 {
		h.Append(nil, seedOf(5, ReasonConnect))
	}
	_, err := h.Open(frameOf(t, g.Append(nil, Ack{Sequence: 2, Generation: 5})))
	require.NoError(t, err, "a seed that was sent")
	for name, m := range map[string]Message{
		"ack of a seed not sent":       Ack{Sequence: 3, Generation: 5},
		"a second ack of a seed":       Ack{Sequence: 2, Generation: 5},
		"ack of an earlier generation": Ack{Sequence: 1, Generation: 4},
		"more credit than there was": Ack{
			Sequence: 1, Generation: 5,
			Outcomes: []Outcome{{Target: TargetKernel, OK: true, Credit: 9}},
		},
		"two outcomes for one target": Ack{
			Sequence: 1, Generation: 5,
			Outcomes: []Outcome{{Target: TargetKernel}, {Target: TargetKernel}},
		},
		"ack of no seed":                Ack{Generation: 5},
		"ack of a generation to come":   Ack{Sequence: 1, Generation: 6},
		"a second hello":                Hello{},
		"a host's frame":                seedOf(5, ReasonPeriodic),
		"request without identifier":    Request{Bytes: 1},
		"request for nothing":           Request{ID: 1},
		"request over the longest":      Request{ID: 1, Bytes: MaxSeed + 1},
		"close for no reason":           Close{},
		"outcome for no target":         Ack{Sequence: 1, Generation: 5, Outcomes: []Outcome{{}}},
		"outcome for an unknown target": Ack{Sequence: 1, Generation: 5, Outcomes: []Outcome{{Target: 4}}},
	} {
		_, err := h.Open(frameOf(t, g.Append(nil, m)))
		require.Error(t, err, name)
	}
	for name, m := range map[string]Message{
		"the longest request": Request{ID: 1, Bytes: MaxSeed},
		"the first reason":    Close{Reason: CloseDone},
		"the last reason":     Close{Reason: CloseForbidden},
		"as many outcomes as there may be": Ack{Sequence: 1, Generation: 5, Outcomes: []Outcome{
			{Target: TargetLibrary},
			{Target: TargetKernel},
			{Target: TargetApplication},
			{Target: TargetApplication, OK: true, Credit: 8},
		}},
	} {
		_, err = h.Open(frameOf(t, g.Append(nil, m)))
		require.NoError(t, err, name)
	}
	for name, raw := range map[string][]byte{
		"a reason over the last": {byte(TypeClose), 0, 0, 2, byte(CloseForbidden) + 1, 0},
		"more outcomes than there may": append([]byte{byte(TypeAck), 0, 0, 17 + 5*5, 16: 0, 20: 5},
			bytes.Repeat([]byte{3, 0, 0, 0, 0}, 5)...),
		"a status over the last": append([]byte{byte(TypeAck), 0, 0, 17 + 5, 16: 0, 20: 1}, 1, 2, 0, 0, 0),
	} {
		_, err = h.Open(frameOf(t, raw))
		require.ErrorIs(t, err, ErrMalformed, name)
	}
}

func TestGuestTakesTheLastReasonOfARefusal(t *testing.T) {
	h, g := welcomed(t, 1)
	m, err := g.Open(frameOf(t, h.Append(nil, Refusal{Request: 3, Reason: RefusedTooLarge, RetryAfter: time.Second})))
	require.NoError(t, err)
	require.Equal(t, Refusal{Request: 3, Reason: RefusedTooLarge, RetryAfter: time.Second}, m)
}

func TestWelcomesFlags(t *testing.T) {
	h, g := pair(t, 1)
	m, err := g.Open(frameOf(t, h.Append(nil, Welcome{Degraded: true})))
	require.NoError(t, err)
	require.True(t, m.(Welcome).Degraded)
	for name, payload := range map[string][]byte{
		"unknown flag": append([]byte{Version, 2}, make([]byte, 38)...),
		"too short":    append([]byte{Version, 0}, make([]byte, 37)...),
	} {
		_, err := parseWelcome(payload)
		require.ErrorIs(t, err, ErrMalformed, name)
	}
}

// A frame with nothing but its code is looked at; only one too short for a code
// is malformed by that.
func TestShortestFrameHasACode(t *testing.T) {
	for n, want := range map[int]error{MACSize: ErrMAC, MACSize - 1: ErrMalformed, 0: ErrMalformed} {
		_, g := welcomed(t, 1)
		_, err := g.Open(frameOf(t, append([]byte{byte(TypePing), 0, 0, byte(n)}, make([]byte, n)...)))
		require.ErrorIs(t, err, want, "%d bytes", n)
	}
}

func TestMillisecondsAreBounded(t *testing.T) {
	for d, want := range map[time.Duration]uint32{
		-time.Hour: 0, 0: 0, 1: 1, time.Millisecond: 1, time.Millisecond + 1: 2,
		(1<<32 - 2) * time.Millisecond: 1<<32 - 2, (1<<32 - 1) * time.Millisecond: 1<<32 - 1,
		1 << 32 * time.Millisecond: 1<<32 - 1,
	} {
		require.Equal(t, want, milliseconds(d), "%v", d)
	}
}

// TestAcknowledgementsOfForgottenSeeds leaves seeds unacknowledged, as a host
// does that begins many generations at once, and then acknowledges each of
// them.
func TestAcknowledgementsOfForgottenSeeds(t *testing.T) {
	for _, outstanding := range []uint64{maxUnacked - 1, maxUnacked, maxUnacked + 1, 200} {
		h, g := welcomed(t, 1)
		for i := range outstanding {
			h.Append(nil, seedOf(6+i, ReasonGeneration))
		}
		forgotten := outstanding - min(outstanding, maxUnacked)
		open := func(m Ack) (Ack, error) {
			got, err := h.Open(frameOf(t, g.Append(nil, m)))
			ack, _ := got.(Ack)
			return ack, err
		}
		claim := []Outcome{{Target: TargetLibrary, OK: true, Credit: 8}, {Target: TargetKernel, OK: true, Credit: 8}}
		for i := uint64(1); i <= outstanding; i++ {
			m, err := open(Ack{Sequence: i, Generation: 5 + i, Outcomes: claim})
			require.NoError(t, err, "seed %d of %d", i, outstanding)
			require.Equal(t, i <= forgotten, m.Forgotten, "seed %d of %d", i, outstanding)
			require.Equal(t, claim, m.Outcomes)
		}
		for i := uint64(1); i <= outstanding; i++ {
			m, err := open(Ack{Sequence: i, Generation: 5 + i, Outcomes: claim})
			if i <= forgotten {
				require.NoError(t, err, "the host cannot know")
				require.True(t, m.Forgotten)
				continue
			}
			require.ErrorIs(t, err, ErrUnexpected, "seed %d of %d again", i, outstanding)
		}
		if forgotten > 0 {
			m, err := open(Ack{Sequence: forgotten, Generation: 5 + outstanding})
			require.NoError(t, err, "the last generation that was begun")
			require.True(t, m.Forgotten)
		}
		for name, m := range map[string]Ack{
			"never sent":                {Sequence: outstanding + 1, Generation: 5 + outstanding},
			"no seed":                   {Generation: 5},
			"of a generation not begun": {Sequence: 1, Generation: 6 + outstanding},
			"two outcomes for a target": {
				Sequence: 1, Generation: 6,
				Outcomes: []Outcome{{Target: TargetKernel}, {Target: TargetKernel}},
			},
			"generation far from begun":  {Sequence: max(1, forgotten), Generation: 1 << 63},
			"sequence far from any sent": {Sequence: 1 << 63, Generation: 5 + outstanding},
		} {
			_, err := open(m)
			var perr *Error
			require.ErrorAs(t, err, &perr, name)
		}
	}
}

func TestVersions(t *testing.T) {
	for _, c := range []struct {
		low, high uint8
		ok        bool
	}{{2, 2, true}, {1, 2, true}, {2, 9, true}, {3, 9, false}, {0, 1, false}} {
		f := frameOf(t, appendFrame(nil, Hello{MinVersion: c.low, MaxVersion: c.high}, 0))
		h, _, err := NewHost(f)
		if c.ok {
			require.NoError(t, err)
			continue
		}
		require.ErrorIs(t, err, ErrVersion)
		g := NewGuest(Hello{})
		m, err := g.Open(frameOf(t, h.Append(nil, Close{Reason: CloseVersion})))
		require.NoError(t, err, "the close that follows must verify")
		require.Equal(t, CloseVersion, m.(Close).Reason)
	}
	_, _, err := NewHost(frameOf(t, appendFrame(nil, Hello{MinVersion: 3, MaxVersion: 2}, 0)))
	require.ErrorIs(t, err, ErrMalformed)
}

// stutter gives one byte at a time and a time-out before each.
type stutter struct {
	r    io.Reader
	odd  bool
	errs int
}

var errTimeout = errors.New("time-out")

func (s *stutter) Read(p []byte) (int, error) {
	s.odd = !s.odd
	if s.odd {
		s.errs++
		return 0, errTimeout
	}
	return s.r.Read(p[:1])
}

func TestDecoderKeepsPartOfAFrameOverTimeouts(t *testing.T) {
	h, g := welcomed(t, 1)
	var stream []byte
	for i := range 3 {
		stream = h.Append(stream, Seed{
			Generation: 5, Reason: ReasonPeriodic,
			Payload: bytes.Repeat([]byte{byte(i)}, 100),
		})
	}
	s := &stutter{r: bytes.NewReader(stream)}
	d := NewGuestDecoder(s)
	for i := 0; i < 3; {
		f, err := d.Next()
		if err != nil {
			require.Equal(t, errTimeout, err)
			continue
		}
		m, err := g.Open(f)
		require.NoError(t, err)
		require.Equal(t, byte(i), m.(Seed).Payload[99])
		i++
	}
	require.Equal(t, len(stream), s.errs)
}

func TestDecoderEnds(t *testing.T) {
	d := NewHostDecoder(strings.NewReader(""))
	_, err := d.Next()
	require.Equal(t, io.EOF, err)
	d = NewHostDecoder(strings.NewReader("\x08\x00\x00"))
	_, err = d.Next()
	require.Equal(t, io.ErrUnexpectedEOF, err)
}

func TestDecoderLimits(t *testing.T) {
	for _, c := range []struct {
		name string
		d    func(io.Reader) *Decoder
		max  int
	}{{"host", NewHostDecoder, MaxGuestPayload}, {"guest", NewGuestDecoder, MaxHostPayload}} {
		frame := append([]byte{9, 0, byte(c.max >> 8), byte(c.max)}, make([]byte, c.max)...)
		f, err := c.d(bytes.NewReader(frame)).Next()
		require.NoError(t, err, c.name)
		require.Len(t, f.Payload, c.max)
		over := c.max + 1
		_, err = c.d(bytes.NewReader(append([]byte{9, 0, byte(over >> 8), byte(over)}, make([]byte, over)...))).Next()
		require.ErrorIs(t, err, ErrTooLong, c.name)
	}
	_, err := NewHostDecoder(strings.NewReader("\x08\x01\x00\x08")).Next()
	require.ErrorIs(t, err, ErrMalformed, "reserved header byte")
}

// TestLongestFramesFit holds the limits against the longest message of each
// side.
func TestLongestFramesFit(t *testing.T) {
	var ack Ack
	for range MaxTargets + 1 {
		ack.Outcomes = append(ack.Outcomes, Outcome{Target: TargetLibrary, Detail: strings.Repeat("x", MaxDetail+9)})
	}
	require.Len(t, appendFrame(nil, ack, 0), HeaderSize+MaxGuestPayload)
	h, _ := welcomed(t, 1)
	require.Len(t, h.Append(nil, Seed{Payload: make([]byte, MaxSeed)}), HeaderSize+MaxHostPayload)
}

func TestDecoderWipesWhatWasTaken(t *testing.T) {
	h, _ := welcomed(t, 1)
	stream := h.Append(nil, Seed{Generation: 5, Payload: bytes.Repeat([]byte{0xee}, 64)})
	stream = h.Append(stream, Ping{})
	d := NewGuestDecoder(bytes.NewReader(stream))
	next(t, d)
	next(t, d)
	require.Zero(t, bytes.Count(d.buf, []byte{0xee, 0xee, 0xee, 0xee}))
	d.Wipe()
	require.Equal(t, make([]byte, len(d.buf)), d.buf)
}

func TestTexts(t *testing.T) {
	for in, want := range map[string]string{
		"web-1": "web-1", "": "", "žluťoučký": "žluťoučký", "a\x1b[2Jb": "a?[2Jb", "\xff": "?", "tab\tnl\n": "tab?nl?",
	} {
		got, err := text(TypeHello, added(in, 40), 40)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	got, err := text(TypeHello, added(strings.Repeat("ž", 10), 5), 5)
	require.NoError(t, err)
	require.Equal(t, "žž", got, "cut at a rune's boundary")
	_, err = text(TypeHello, []byte("aaaaa"), 5)
	require.NoError(t, err, "as long as it may be")
	for _, bad := range []string{"a\x00b", "\xff", "aaaaaa", "\x1b"} {
		_, err := text(TypeHello, []byte(bad), 5)
		require.Error(t, err, "%q", bad)
	}
}

// added is a text as it is sent, without the length.
func added(s string, limit int) []byte {
	var b cryptobyte.Builder
	addText(&b, s, limit)
	return b.BytesOrPanic()[1:]
}

func TestV1LinesBeginWithALetterOfTheirOwn(t *testing.T) {
	for _, line := range []string{V1Request, V1Answer} {
		require.Equal(t, 1, strings.Count(line, line[:1]), "Matcher relies on it")
	}
}

func TestV1Matcher(t *testing.T) {
	for _, junk := range []string{
		"", "Hello", "Hello, may I have some Hello", "\r\n\r\n", "HHHH",
		strings.Repeat("x", v1Junk),
	} {
		for size := 1; size < 40; size += 7 {
			m := NewV1RequestMatcher()
			stream := []byte(junk + V1Request + "rest")
			var got []byte
			for done := false; !done; {
				n := min(size, len(stream))
				rest, found, err := m.Feed(stream[:n])
				require.NoError(t, err)
				stream = stream[n:]
				if found {
					got, done = append(slices.Clone(rest), stream...), true
				}
			}
			require.Equal(t, "rest", string(got), "junk %q in pieces of %d", junk[:min(len(junk), 20)], size)
		}
	}
	m := NewV1RequestMatcher()
	_, _, err := m.Feed(bytes.Repeat([]byte("x"), v1Junk+1))
	require.ErrorIs(t, err, ErrMalformed)
}

func TestV1HandshakeTakesEntropyInTheAnswersLastPiece(t *testing.T) {
	for _, wrap := range []func(io.Reader) io.Reader{
		iotest.OneByteReader, iotest.HalfReader,
		func(r io.Reader) io.Reader { return r },
	} {
		var sent bytes.Buffer
		r, err := V1Handshake(struct {
			io.Reader
			io.Writer
		}{wrap(strings.NewReader("login: " + V1Answer + "entropy")), &sent})
		require.NoError(t, err)
		got, err := io.ReadAll(r)
		require.NoError(t, err)
		require.Equal(t, "entropy", string(got))
		require.Equal(t, V1Request, sent.String())
	}
}

func TestErrorsNameTheFrame(t *testing.T) {
	err := fail(TypeSeed, ErrMAC, "frame %d of the session", 3)
	require.EqualError(t, err, "protocol: seed: wrong message authentication code: frame 3 of the session")
	require.EqualError(t, &Error{Frame: 77, Err: ErrUnexpected}, "protocol: frame type 77: unexpected frame")
	require.Equal(t, "frame type 11", (TypeClose + 1).String())
	require.Equal(t, "frame type 0", Type(0).String())
	require.Equal(t, "protocol: close: "+fmt.Sprint(ErrTooLong), (&Error{Frame: TypeClose, Err: ErrTooLong}).Error())
}
