package scrub

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding"
	"fmt"
	"hash"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestHashLeavesNothing fills the block buffer of each hash with inputs of
// every length, and looks at it afterwards.
func TestHashLeavesNothing(t *testing.T) {
	for name, h := range map[string]hash.Hash{
		"SHA-256": sha256.New(), "SHA-512": sha512.New(), "HMAC-SHA-256": hmac.New(sha256.New, []byte("key")),
	} {
		empty := h.Sum(nil)
		for n := range 3 * h.BlockSize() {
			h.Write(bytes.Repeat([]byte{0xa5}, n))
			h.Sum(nil)
			Hash(h)
			require.NotContains(t, dump(h), "165", "%s after %d bytes", name, n)
			require.Equal(t, empty, h.Sum(nil), "%s is as new", name)
		}
		h.Write(bytes.Repeat([]byte{0xa5}, h.BlockSize()-1))
		require.Contains(t, dump(h), "165",
			"%s: the standard library keeps its block elsewhere now: look whether Hash overwrites it", name)
	}
}

// dump shows all that is in a hash, with its block in decimal numbers.
func dump(h hash.Hash) string {
	if _, digest := h.(encoding.BinaryMarshaler); digest {
		return fmt.Sprint(reflect.ValueOf(h).Elem().FieldByName("x"))
	}
	inner := reflect.ValueOf(h).Elem().FieldByName("inner").Elem().Elem()
	return fmt.Sprint(inner.FieldByName("x"))
}
