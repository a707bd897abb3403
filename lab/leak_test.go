//go:build lab && linux

package lab

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// window is how many bytes of a secret in a row are a find: by chance none of a
// million values holds them.
const window = 6

// secrets are byte strings to look for.
type secrets map[string]bool

// add takes one in, piece by piece. Shorter ones than six bytes cannot be
// looked for.
func (s secrets) add(secret []byte) {
	for i := 0; i+window <= len(secret); i++ {
		s[string(secret[i:i+window])] = true
	}
}

// in says whether six bytes in a row of any secret are in a value: as they are,
// in hexadecimal digits, or in base64, wherever they begin.
func (s secrets) in(value []byte) bool {
	plain := strings.NewReplacer("-", "+", "_", "/").Replace(string(value))
	return s.raw(value) || s.coded(plain, isHex, 2, hex.DecodeString) ||
		s.coded(plain, isBase64, 4, base64.RawStdEncoding.DecodeString)
}

// coded looks into the longest pieces of a text that consist of a code's
// digits, of which so many are a group, wherever the first group begins.
func (s secrets) coded(text string, digit func(rune) bool, group int, decode func(string) ([]byte, error)) bool {
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

func (s secrets) raw(b []byte) bool {
	for i := 0; i+window <= len(b); i++ {
		if s[string(b[i:i+window])] {
			return true
		}
	}
	return false
}

const hexDigits = "0123456789abcdefABCDEF"

func isHex(r rune) bool { return strings.ContainsRune(hexDigits, r) }

func isBase64(r rune) bool {
	return strings.ContainsRune(hexDigits+"ghijklmnopqrstuvwxyzGHIJKLMNOPQRSTUVWXYZ+/", r)
}

func TestSecretsIn(t *testing.T) {
	secret := []byte("\x00\x81secret bytes of which six are enough\xff\xfe")
	s := make(secrets)
	s.add(secret)
	text, web := base64.StdEncoding.EncodeToString, base64.URLEncoding.EncodeToString
	for name, v := range map[string]string{
		"whole": string(secret), "a piece": "x" + string(secret[7:13]) + "y",
		"hex": "id=" + hex.EncodeToString(secret), "hex, odd": "0" + hex.EncodeToString(secret[3:12]),
		"hex, large": strings.ToUpper(hex.EncodeToString(secret)),
		"base64":     text(secret), "base64, shifted": text(append([]byte("ab"), secret[5:]...)),
		"base64 for URLs": web(secret), "base64 behind letters": "xy" + text(secret),
	} {
		require.True(t, s.in([]byte(v)), name)
	}
	for _, v := range []string{
		"", "8", "/local/domain/3/data/vchan/0/entropy", string(secret[7:12]), "secret",
		hex.EncodeToString([]byte("nothing of it")),
	} {
		require.Equal(t, v == "secret", s.in([]byte(v)), v)
	}
}
