//go:build !wasip1

package protocol

import (
	"bytes"
	"encoding/hex"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// dumps returns the frames of docs/protocol.md, whose bytes were made by a
// second implementation (Python's hmac and struct).
func dumps(t *testing.T) [][]byte {
	t.Helper()
	doc, err := os.ReadFile("../docs/protocol.md")
	require.NoError(t, err)
	var frames [][]byte
	for _, part := range strings.Split(string(doc), "```dump\n")[1:] {
		text, _, ok := strings.Cut(part, "```")
		require.True(t, ok)
		f, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
		require.NoError(t, err)
		frames = append(frames, f)
	}
	return frames
}

func counted(first byte, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = first + byte(i)
	}
	return b
}

// documented is the session of docs/protocol.md in order; from tells whose
// frame it is.
func documented() []struct {
	from string
	m    Message
} {
	hello := Hello{MinVersion: 2, MaxVersion: 2, Kernel: true, Label: "web-1"}
	copy(hello.Nonce[:], counted(0, 32))
	welcome := Welcome{
		Version: 2, MaxRequest: 1024, Generation: 7, KeepAlive: time.Minute, BudgetBytes: 1024,
		BudgetPeriod: time.Minute,
	}
	copy(welcome.Instance[:], counted(0xa0, 16))
	return []struct {
		from string
		m    Message
	}{
		{"guest", hello},
		{"host", welcome},
		{"host", Seed{Sequence: 1, Generation: 7, Credit: 256, Reason: ReasonConnect, Payload: counted(0x10, 32)}},
		{"guest", Ack{Sequence: 1, Generation: 7, Outcomes: []Outcome{
			{Target: TargetLibrary, OK: true, Credit: 256}, {Target: TargetKernel, Detail: "not permitted"},
		}}},
		{"guest", Request{ID: 42, Bytes: 32}},
		{"host", Seed{
			Sequence: 2, Generation: 7, Credit: 256, Reason: ReasonRequest, Request: 42,
			Payload: counted(0x30, 32),
		}},
		{"host", Refusal{Request: 43, Reason: RefusedBudget, RetryAfter: 1500 * time.Millisecond}},
		{"host", Seed{Sequence: 3, Generation: 8, Reason: ReasonGeneration, Payload: counted(0x50, 32)}},
		{"host", Ping{Token: 0x0102030405060708}},
		{"guest", Pong{Token: 0x0102030405060708}},
		{"host", Close{Reason: CloseDone, Text: "host is going down"}},
	}
}

func TestDocumentedSession(t *testing.T) {
	frames := dumps(t)
	script := documented()
	require.Len(t, frames, len(script))

	guest := NewGuest(script[0].m.(Hello))
	require.Equal(t, frames[0], guest.AppendHello(nil))
	host, hello, err := NewHost(next(t, NewHostDecoder(bytes.NewReader(frames[0]))))
	require.NoError(t, err)
	require.Equal(t, script[0].m, hello)

	for i, step := range script[1:] {
		frame := frames[i+1]
		if step.from == "host" {
			require.Equal(t, frame, host.Append(nil, step.m), "%s", step.m.Type())
			m, err := guest.Open(next(t, NewGuestDecoder(bytes.NewReader(frame))))
			require.NoError(t, err)
			require.Equal(t, step.m, m)
		} else {
			require.Equal(t, frame, guest.Append(nil, step.m), "%s", step.m.Type())
			m, err := host.Open(next(t, NewHostDecoder(bytes.NewReader(frame))))
			require.NoError(t, err)
			require.Equal(t, step.m, m)
		}
	}
}
