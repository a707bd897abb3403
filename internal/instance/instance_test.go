package instance

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNewAtEachCall(t *testing.T) {
	for what, kernel := range map[string]func([]byte) error{
		"a kernel without a seed": func([]byte) error { return errors.New("resource temporarily unavailable") },
		"a kernel that repeats":   func(b []byte) error { clear(b); return nil },
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
