package transport

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/vchan"
)

func TestParse(t *testing.T) {
	a, err := Parse("local:/run/xentropyd/local.sock")
	require.NoError(t, err)
	assert.Equal(t, Address{"local", "/run/xentropyd/local.sock"}, a)
	assert.Equal(t, "local:/run/xentropyd/local.sock", a.String())

	long := "/" + strings.Repeat("x", maxSocketPath-1)
	_, err = Parse("local:" + long)
	assert.NoError(t, err, "the longest that fits")

	for address, want := range map[string]string{
		"":                    `column 1: no scheme; known are console:[NAME or /dev/hvcN], local:`,
		"/run/a.sock":         `column 1: no scheme; known are console:[NAME or /dev/hvcN], local:`,
		"vsock:2:1":           `column 1: unknown scheme "vsock"; known are console:[NAME or /dev/hvcN], local:`,
		"LOCAL:/a":            `column 1: unknown scheme`,
		"local:":              `column 7: want the absolute path`,
		"local:run/a":         `column 7: want the absolute path`,
		"local:///run/a":      `column 7: a path begins with one slash`,
		"local:/run/":         `column 11: this is a directory`,
		"local:/":             `column 7: this is a directory`,
		"local:/a\nb":         `column 9: control character`,
		"local:/a\x00":        `column 9: control character`,
		"local:" + long + "x": `column 114: path of 108 bytes; a Unix socket's has at most 107`,
	} {
		_, err := Parse(address)
		assert.ErrorIs(t, err, ErrAddress, address)
		assert.ErrorContains(t, err, want, address)
		_, err = Dial(t.Context(), address)
		assert.ErrorIs(t, err, ErrAddress, address)
		_, err = Listen(address, ListenOptions{})
		assert.ErrorIs(t, err, ErrAddress, address)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"local:/a", "local:", "x:y", ":", "local:/a\n", "\xff:/", "xen:", "xen:7", "console:", "console:/dev/hvc1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := Parse(s)
		if err != nil {
			return
		}
		if a.String() != s {
			t.Fatalf("%q became %q", s, a)
		}
		if a.Scheme == localScheme && (len(a.Path) > maxSocketPath || !strings.HasPrefix(a.Path, "/")) {
			t.Fatalf("accepted %q", s)
		}
	})
}

func TestBlame(t *testing.T) {
	type hostile interface{ Hostile() bool }
	for _, err := range []error{vchan.ErrCorrupt, fmt.Errorf("read: %w", vchan.ErrViolation)} {
		h, ok := blame(err).(hostile)
		require.True(t, ok, "%v", err)
		assert.True(t, h.Hostile())
		assert.ErrorIs(t, blame(err), err)
		assert.Equal(t, err.Error(), blame(err).Error())
	}
	for _, err := range []error{nil, io.EOF, vchan.ErrPeerGone, context.Canceled} {
		_, ok := blame(err).(hostile)
		assert.False(t, ok, "%v", err)
		assert.Equal(t, err, blame(err))
	}
}
