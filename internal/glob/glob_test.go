package glob

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"local:*", "local:0/17", true},
		{"local:?/17", "local:0/17", true},
		{"[a-c]x", "bx", true},
		{"[a-c]x", "dx", false},
		{"web", "web-1", false},
		{"*", "", true},
		{"[", "[", false},
	} {
		require.Equal(t, c.want, Match(c.pattern, c.name), "%+v", c)
	}
	require.True(t, Good("a*[b-c]?"))
	require.False(t, Good("["))
	require.False(t, Good(""))
}
