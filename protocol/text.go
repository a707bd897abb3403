package protocol

import (
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
)

// milliseconds is a duration as the wire has it: whole milliseconds, rounded
// up, within 32 bits.
func milliseconds(d time.Duration) uint32 {
	ms := (d + time.Millisecond - 1) / time.Millisecond
	return uint32(min(max(ms, 0), 1<<32-1))
}

// addText adds a text as length byte and bytes, made printable and cut to limit
// bytes at a rune's boundary.
func addText(b *cryptobyte.Builder, s string, limit int) {
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) {
		var all []byte
		for _, r := range s {
			if !unicode.IsPrint(r) || r == utf8.RuneError {
				r = '?'
			}
			if len(all)+utf8.RuneLen(r) > limit {
				break
			}
			all = utf8.AppendRune(all, r)
		}
		b.AddBytes(all)
	})
}

// text is a text that was read; what could trouble a terminal or a log is
// refused.
func text(t Type, b []byte, limit int) (string, error) {
	if len(b) > limit {
		return "", fail(t, ErrMalformed, "text of %d bytes, at most %d", len(b), limit)
	}
	if !utf8.Valid(b) {
		return "", fail(t, ErrMalformed, "text is not UTF-8")
	}
	s := string(b)
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return "", fail(t, ErrMalformed, "text is not printable")
		}
	}
	return s, nil
}
