// Package leak looks for secrets in what must hold none.
package leak

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
)

// window is how many bytes of a secret in a row are a find: by chance none of a million values holds them.
const window = 6

// Secrets are byte strings to look for.
type Secrets map[string]bool

// Add takes one in, piece by piece. Shorter ones than six bytes cannot be looked for.
func (s Secrets) Add(secret []byte) {
	for i := 0; i+window <= len(secret); i++ {
		s[string(secret[i:i+window])] = true
	}
}

// In says whether six bytes in a row of any secret are in a value: as they are, in hexadecimal digits, or in base64, wherever they begin.
func (s Secrets) In(value []byte) bool {
	if s.raw(value) {
		return true
	}
	for _, run := range runs(string(value), isHex) {
		for from := range min(2, len(run)) {
			r := run[from:]
			if b, err := hex.DecodeString(r[:len(r)&^1]); err == nil && s.raw(b) {
				return true
			}
		}
	}
	plain := strings.NewReplacer("-", "+", "_", "/").Replace(string(value))
	for _, run := range runs(plain, isBase64) {
		for from := range min(4, len(run)) {
			r := run[from:]
			if b, err := base64.RawStdEncoding.DecodeString(r[:len(r)&^3]); err == nil && s.raw(b) {
				return true
			}
		}
	}
	return false
}

func (s Secrets) raw(b []byte) bool {
	for i := 0; i+window <= len(b); i++ {
		if s[string(b[i:i+window])] {
			return true
		}
	}
	return false
}

// runs are the longest pieces of which each byte is of a kind.
func runs(s string, kind func(rune) bool) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return !kind(r) })
}

func isHex(r rune) bool { return strings.ContainsRune("0123456789abcdefABCDEF", r) }

func isBase64(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '+' || r == '/'
}
