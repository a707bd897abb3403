package all

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/transport"
)

// longest is the longest path of a Unix socket, bytes.
const longest = 107

func TestParse(t *testing.T) {
	a, c, err := Carriers.Parse("local:/run/xentropyd/local.sock")
	require.NoError(t, err)
	assert.Equal(t, transport.Address{Scheme: "local", Path: "/run/xentropyd/local.sock"}, a)
	assert.Equal(t, "local:/run/xentropyd/local.sock", a.String())
	assert.Equal(t, "local", c.Scheme)

	long := "/" + strings.Repeat("x", longest-1)
	for _, good := range []string{
		"local:" + long, "unix:" + long, "xen:", "xen:0", "xen:32751",
		"console:", "console:org.openmirage.entropy.1", "console:/dev/hvc1",
	} {
		a, _, err := Carriers.Parse(good)
		assert.NoError(t, err)
		assert.Equal(t, good, a.String())
	}
	for address, want := range map[string]string{
		"":                                    `column 1: no scheme; known are xen:[DOMID-OF-HOST], console:[NAME or /dev/hvcN], local:`,
		"/run/a.sock":                         `column 1: no scheme; known are xen:[DOMID-OF-HOST], console:[NAME or /dev/hvcN], local:`,
		"vsock:2:1":                           `column 1: unknown scheme "vsock"; known are xen:`,
		"LOCAL:/a":                            `column 1: unknown scheme`,
		"local:":                              `column 7: want the absolute path of a Unix socket; use local:/run/xentropyd/local.sock`,
		"unix:":                               `column 6: want the absolute path of a Unix socket; use unix:/run/xentropyd/unix.sock`,
		"local:run/a":                         `column 7: want the absolute path`,
		"local:///run/a":                      `column 7: a path begins with one slash`,
		"local:/run/":                         `column 11: this is a directory`,
		"local:/":                             `column 7: this is a directory`,
		"local:/a\nb":                         `column 9: control character`,
		"unix:/a\x00":                         `column 8: control character`,
		"local:" + long + "x":                 `column 114: path of 108 bytes; a Unix socket's has at most 107`,
		"xen:32752":                           "column 5: no domain",
		"xen:9999999999999999":                "column 5: no domain",
		"xen:1x":                              "column 6: want the number",
		"xen:-1":                              "column 5: want",
		"xen:00":                              "column 5: a number does not",
		"console:a\n":                         "column 10: control",
		"console://a":                         "column 9: a path",
		"console:/dev/":                       "column 13: this is a directory",
		"console:" + long + long:              "", // a name may be as long as xenstore lets it
		"console:" + strings.Repeat("x", 257): "column 265: 257 bytes",
	} {
		if want == "" {
			continue
		}
		_, _, err := Carriers.Parse(address)
		assert.ErrorIs(t, err, transport.ErrAddress, address)
		assert.ErrorContains(t, err, want, address)
		_, err = Carriers.Dial(t.Context(), address)
		assert.ErrorIs(t, err, transport.ErrAddress, address)
		_, err = Carriers.Listen(address, transport.DefaultListenOptions())
		assert.ErrorIs(t, err, transport.ErrAddress, address)
	}
	_, err = Carriers.Listen("console:", transport.DefaultListenOptions())
	assert.ErrorIs(t, err, transport.ErrAddress)
	assert.ErrorContains(t, err, `"console:" is an address for a guest; a host plugs consoles into its guests where it listens at xen:`)
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"local:/a", "local:", "x:y", ":", "local:/a\n", "\xff:/", "xen:", "xen:7",
		"console:", "console:/dev/hvc1",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, c, err := Carriers.Parse(s)
		if err != nil {
			return
		}
		if a.String() != s {
			t.Fatalf("%q became %q", s, a)
		}
		if c.File != nil && (len(a.Path) > longest || !strings.HasPrefix(a.Path, "/")) {
			t.Fatalf("accepted %q", s)
		}
	})
}

// Each carrier says all that those who loop over them ask for.
func TestCarriersAreComplete(t *testing.T) {
	seen := make(map[string]bool)
	for _, c := range Carriers {
		assert.False(t, seen[c.Scheme], "%s stands there twice", c.Scheme)
		seen[c.Scheme] = true
		assert.NotEmpty(t, c.Form)
		assert.NotNil(t, c.Check)
		assert.False(t, c.Dial == nil && c.Listen == nil)
		assert.Equal(t, c.Dial == nil, c.Cure == nil, "%s: who dials wants to know what to do about an error", c.Scheme)
		assert.Equal(t, c.Listen == nil, c.NoListen != "", "%s: else say what a host does instead", c.Scheme)
		if c.Config != nil {
			assert.Empty(t, c.Config().Check(true), "the defaults are good")
		}
	}
}

func TestDialer(t *testing.T) {
	for _, bad := range []string{"", "pigeon:", "xen:00", "local:relative"} {
		_, err := Dialer(bad)
		require.ErrorIs(t, err, transport.ErrAddress, bad)
	}
	address := "local:" + t.TempDir() + "/none"
	dial, err := Dialer(address)
	require.NoError(t, err, "nobody need be there yet")
	_, err = dial(t.Context())
	require.ErrorContains(t, err, "dial "+address)
}
