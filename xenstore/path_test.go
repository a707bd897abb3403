package xenstore

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestJoin(t *testing.T) {
	for _, c := range []struct {
		path  string
		names []string
		want  string
	}{
		{"/", nil, "/"},
		{"/", []string{"a"}, "/a"},
		{"/a", []string{"b", "c"}, "/a/b/c"},
		{"/a/", []string{"/b/", "", "c"}, "/a/b/c"},
		{"data", []string{"x"}, "data/x"},
		{"", []string{"a", "b"}, "a/b"},
		{"", nil, ""},
		{"/", []string{"", "/"}, "/"},
	} {
		require.Equal(t, c.want, Join(c.path, c.names...), "%q %q", c.path, c.names)
	}
	require.Equal(t, "/local/domain/65535", DomainPath(65535))
}

func TestParent(t *testing.T) {
	for path, want := range map[string]string{"/a/b": "/a", "/a": "/", "a/b": "a"} {
		got, ok := Parent(path)
		require.True(t, ok, path)
		require.Equal(t, want, got)
	}
	for _, path := range []string{"/", "a", ""} {
		_, ok := Parent(path)
		require.False(t, ok, path)
	}
}

func TestValidatePath(t *testing.T) {
	good := []string{
		"/", "/a", "a", "data/x-y_z@0", "@introduceDomain",
		"/" + strings.Repeat("x", MaxAbsPath-1), strings.Repeat("x", MaxRelPath),
	}
	for _, p := range good {
		require.NoError(t, ValidatePath(p), p)
	}
	bad := []string{
		"", "//", "/a/", "a/", "/a//b", "/a b", "/a.b", "/a\x00b", "/é", "/a\n",
		"/" + strings.Repeat("x", MaxAbsPath), strings.Repeat("x", MaxRelPath+1),
	}
	for _, p := range bad {
		require.ErrorIs(t, ValidatePath(p), ErrInvalid, p)
	}
}

func TestValidPort(t *testing.T) {
	for _, s := range []string{"entropy", "A-z_09", strings.Repeat("p", 256)} {
		require.True(t, ValidPort(s), s)
	}
	for _, s := range []string{"", "a.b", "a/b", "a b", "@a", "\x00", "é", strings.Repeat("p", 257)} {
		require.False(t, ValidPort(s), s)
	}
}

func TestPerm(t *testing.T) {
	for _, s := range []string{"n0", "r7", "w65535", "b32752"} {
		p, err := ParsePerm(s)
		require.NoError(t, err)
		require.Equal(t, s, p.String())
	}
	require.Equal(t, Perm{DomID: 7, Access: AccessRead}, must(ParsePerm("r7")))
	for _, s := range []string{"", "n", "x0", "n-1", "n65536", "n 1", "n1x", "0"} {
		_, err := ParsePerm(s)
		require.ErrorIs(t, err, ErrInvalid, s)
	}
	for a, want := range map[Access][2]bool{
		AccessNone: {false, false}, AccessRead: {true, false}, AccessWrite: {false, true}, AccessBoth: {true, true},
	} {
		require.Equal(t, want, [2]bool{a.CanRead(), a.CanWrite()}, a.String())
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
