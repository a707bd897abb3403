package protocol

import (
	"time"
	"unicode"
	"unicode/utf8"
)

// milliseconds is a duration as the wire has it: whole milliseconds, rounded up, within 32 bits.
func milliseconds(d time.Duration) uint32 {
	ms := (d + time.Millisecond - 1) / time.Millisecond
	return uint32(min(max(ms, 0), 1<<32-1))
}

// appendText appends a text as length byte and bytes, made printable and cut to limit bytes at a rune's boundary.
func appendText(b []byte, s string, limit int) []byte {
	start := len(b)
	b = append(b, 0)
	for _, r := range s {
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			r = '?'
		}
		if len(b)-start-1+utf8.RuneLen(r) > limit {
			break
		}
		b = utf8.AppendRune(b, r)
	}
	b[start] = byte(len(b) - start - 1)
	return b
}

// text reads a text and refuses what could trouble a terminal or a log.
func (c *cursor) text(t Type, limit int) (string, error) {
	n := int(c.u8())
	if n > limit {
		return "", fail(t, ErrMalformed, "text of %d bytes, at most %d", n, limit)
	}
	s := string(c.take(n))
	if !utf8.ValidString(s) {
		return "", fail(t, ErrMalformed, "text is not UTF-8")
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return "", fail(t, ErrMalformed, "text is not printable")
		}
	}
	return s, nil
}
