package instance

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNewAtEachCall(t *testing.T) {
	for what, kernel := range map[string]func([]byte){
		"a kernel without a seed": func([]byte) {},
		"a kernel that repeats":   func(b []byte) { clear(b) },
	} {
		seen := make(map[[Size]byte]bool)
		for range 10_000 {
			name := draw(kernel)
			require.False(t, seen[name], what)
			seen[name] = true
		}
	}
	require.NotEqual(t, New(), New())
}
