package discovery

import (
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestParseDomID(t *testing.T) {
	for s, want := range map[string]int{
		"0": 0, "1": 1, "32751": 32751, "32752": -1, "65535": -1, "65536": -1, "": -1, "-1": -1, "+1": -1, "01": -1,
		" 1": -1, "1x": -1, "0x1": -1, "٣": -1,
	} {
		got, ok := parseDomID(s)
		require.Equal(t, want >= 0, ok, "%q", s)
		if ok {
			require.EqualValues(t, want, got)
		}
	}
}

func TestParseUUID(t *testing.T) {
	const good = "3b241101-e2bb-4255-8caf-4136c566a962"
	require.Equal(t, good, parseUUID("/vm/"+good))
	require.Equal(t, good, parseUUID("/vm/"+strings.ToUpper(good)))
	for _, bad := range []string{
		"", good, "/vm/", "/vm/" + good[:35], "/vm/" + good + "1",
		"/vm/" + strings.Replace(good, "-", "0", 1), "/vm/" + strings.Replace(good, "3", "g", 1),
		"/vm/" + strings.Replace(good, "2", "/", 1),
	} {
		require.Empty(t, parseUUID(bad), "%q", bad)
	}
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "web 1": "web 1", "größe": "größe", "a\nb\x1b[0m\x00": "a?b?[0m?",
		"\xff\xfe": "??", "\u202eevil": "?evil",
		strings.Repeat("ß", 100): strings.Repeat("ß", 64),
	} {
		require.Equal(t, want, printable(in))
	}
}

func TestAllowed(t *testing.T) {
	id := identity{domid: 3, uuid: "3b241101-e2bb-4255-8caf-4136c566a962", name: "web/1"}
	for _, c := range []struct {
		allow, deny []string
		want        bool
	}{
		{nil, nil, true},
		{[]string{"web*"}, nil, true},
		{[]string{"db*"}, nil, false},
		{nil, []string{"web*"}, false},
		{[]string{"*"}, []string{"web/?"}, false},
		{[]string{"3B241101-*"}, nil, true},
		{[]string{"x", "[a-w]eb/1"}, []string{"y"}, true},
	} {
		require.Equal(t, c.want, id.allowed(c.allow, c.deny), "%+v", c)
	}
	require.False(t, identity{domid: 3}.allowed([]string{"web"}, nil))
	c := DefaultConfig()
	require.Empty(t, c.Check(true))
	c = Config{Allow: []string{"web-*", "["}, Deny: []string{""}}
	require.Equal(t, []string{"allow[1]", "deny[0]"}, []string{c.Check(false)[0].Key, c.Check(false)[1].Key})
	require.Len(t, c.Check(true), 3, "neither vchan nor console")
}

func FuzzIdentity(f *testing.F) {
	f.Add("7", "/vm/3b241101-e2bb-4255-8caf-4136c566a962", "name\x00")
	f.Fuzz(func(t *testing.T, domid, vm, name string) {
		if n, ok := parseDomID(domid); ok && strconv.Itoa(int(n)) != domid {
			t.Fatalf("%q is taken for %d", domid, n)
		}
		if u := parseUUID(vm); u != "" && (len(u) != 36 || !strings.EqualFold("/vm/"+u, vm)) {
			t.Fatalf("%q is taken for %q", vm, u)
		}
		p := printable(name)
		if len(p) > maxName || !utf8.ValidString(p) ||
			strings.ContainsFunc(p, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Fatalf("%q is shown as %q", name, p)
		}
	})
}
