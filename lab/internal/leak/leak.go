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

// In says whether six bytes in a row of any secret are in a value: as they are,
// in hexadecimal digits, or in base64, wherever they begin.
func (s Secrets) In(value []byte) bool {
	plain := strings.NewReplacer("-", "+", "_", "/").Replace(string(value))
	return s.raw(value) || s.coded(plain, isHex, 2, hex.DecodeString) ||
		s.coded(plain, isBase64, 4, base64.RawStdEncoding.DecodeString)
}

// coded looks into the longest pieces of a text that consist of a code's digits,
// of which so many are a group, wherever the first group begins.
func (s Secrets) coded(text string, digit func(rune) bool, group int, decode func(string) ([]byte, error)) bool {
	for _, run := range strings.FieldsFunc(text, func(r rune) bool { return !digit(r) }) {
		for from := range min(group, len(run)) {
			r := run[from:]
			if b, err := decode(r[:len(r)/group*group]); err == nil && s.raw(b) {
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

func isHex(r rune) bool { return strings.ContainsRune("0123456789abcdefABCDEF", r) }

func isBase64(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '+' || r == '/'
}
