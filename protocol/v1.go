package protocol

import (
	"fmt"
	"io"
)

// Protocol 1, as mirage/xentropyd has spoken it on the PV console
// org.openmirage.entropy.1 since 2014: the guest sends V1Request, the host
// answers V1Answer, and all that the host sends from then on is entropy. What
// else the guest writes is dropped.
const (
	V1Request = "Hello, may I have some entropy?\r\n"
	V1Answer  = "You may treat everything following this message as entropy.\r\n"
)

// v1Junk is how many bytes a side may send before its line: a console may still
// hold what a boot loader or an echo left in it. Our own choice.
const v1Junk = 4096

// Matcher finds one line in a stream that arrives in pieces of any size. The
// zero value is of no use: see [NewV1RequestMatcher] and [NewV1AnswerMatcher].
type Matcher struct {
	want    string
	matched int // bytes of want matched so far
	dropped int // bytes seen that were not part of it
}

// NewV1RequestMatcher returns a matcher for the guest's request.
func NewV1RequestMatcher() *Matcher { return &Matcher{want: V1Request} }

// NewV1AnswerMatcher returns a matcher for the host's answer.
func NewV1AnswerMatcher() *Matcher { return &Matcher{want: V1Answer} }

// Feed looks at the next bytes of the stream. Once the line is complete it
// returns true and what of b follows the line, which in the host's answer is
// entropy. Junk of over 4,096 bytes before the line is [ErrMalformed].
func (m *Matcher) Feed(b []byte) (rest []byte, found bool, err error) {
	for i, c := range b {
		if c != m.want[m.matched] {
			// The first letter of either line comes only once in it: no part of
			// what was matched can begin the line.
			m.dropped += m.matched
			m.matched = 0
		}
		if c == m.want[m.matched] {
			m.matched++
		} else {
			m.dropped++
		}
		if m.matched == len(m.want) {
			return b[i+1:], true, nil
		}
		if m.dropped > v1Junk {
			return nil, false, &Error{Err: ErrMalformed, Detail: fmt.Sprintf("no line %q within %d bytes",
				m.want[:len(m.want)-2], v1Junk)}
		}
	}
	return nil, false, nil
}

// V1Handshake asks for entropy on rw by protocol 1 and returns a reader of the
// entropy that follows. It blocks until the answer came; bound it with rw's
// deadline. The answer and the first entropy may come in one piece or many.
func V1Handshake(rw io.ReadWriter) (io.Reader, error) {
	if _, err := io.WriteString(rw, V1Request); err != nil {
		return nil, fmt.Errorf("protocol 1: send request: %w", err)
	}
	m := NewV1AnswerMatcher()
	buf := make([]byte, 512)
	for {
		n, err := rw.Read(buf)
		rest, found, merr := m.Feed(buf[:n])
		switch {
		case merr != nil:
			return nil, merr
		case found:
			return &v1Entropy{rest: rest, r: rw}, nil
		case err != nil:
			return nil, fmt.Errorf("protocol 1: wait for the host's answer: %w", err)
		}
	}
}

// v1Entropy gives what came with the answer, wiping it, and then what comes.
type v1Entropy struct {
	rest []byte
	r    io.Reader
}

func (e *v1Entropy) Read(p []byte) (int, error) {
	if len(e.rest) == 0 {
		return e.r.Read(p)
	}
	n := copy(p, e.rest)
	clear(e.rest[:n])
	e.rest = e.rest[n:]
	return n, nil
}
