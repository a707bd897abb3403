package leak

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestIn(t *testing.T) {
	secret := []byte("\x00\x81secret bytes of which six are enough\xff\xfe")
	s := make(Secrets)
	s.Add(secret)
	for name, v := range map[string]string{
		"whole": string(secret), "a piece": "x" + string(secret[7:13]) + "y",
		"hex": "id=" + hex.EncodeToString(secret), "hex, odd": "0" + hex.EncodeToString(secret[3:12]), "hex, large": strings.ToUpper(hex.EncodeToString(secret)),
		"base64": base64.StdEncoding.EncodeToString(secret), "base64, shifted": base64.StdEncoding.EncodeToString(append([]byte("ab"), secret[5:]...)),
		"base64 for URLs": base64.URLEncoding.EncodeToString(secret), "base64 behind letters": "xy" + base64.StdEncoding.EncodeToString(secret),
	} {
		require.True(t, s.In([]byte(v)), name)
	}
	for _, v := range []string{"", "8", "/local/domain/3/data/vchan/0/entropy", string(secret[7:12]), "secret", hex.EncodeToString([]byte("nothing of it"))} {
		require.Equal(t, v == "secret", s.In([]byte(v)), v)
	}
}
