package protocol

import (
	"bytes"
	"fmt"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMACKeepsNothingOfAFrame looks into the standard library's HMAC after
// seeds of all lengths: the end of each went through its block buffer.
func TestMACKeepsNothingOfAFrame(t *testing.T) {
	h, g := welcomed(t, 1)
	inner := func(m *mac) string {
		x := reflect.ValueOf(m.hmac).Elem().FieldByName("inner").Elem().Elem().FieldByName("x")
		return fmt.Sprint(x)
	}
	for n := range 200 {
		f := h.Append(nil, Seed{Generation: 5, Reason: ReasonPeriodic, Payload: bytes.Repeat([]byte{0xa5}, n+1)})
		require.NotContains(t, inner(h.mac), "165", "host, seed of %d bytes", n+1)
		_, err := g.Open(frameOf(t, f))
		require.NoError(t, err)
		require.NotContains(t, inner(g.mac), "165", "guest, seed of %d bytes", n+1)
	}
	h.mac.hmac.Write([]byte{0xa5})
	require.Contains(t, inner(h.mac), "165",
		"the standard library keeps its block elsewhere now: look whether it is emptied")
}
