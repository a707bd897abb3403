package rights

import (
	"os"
	"os/user"
	"testing"

	"github.com/stretchr/testify/require"
)

// nobodyHere is a user who is not the one that runs the test.
const nobodyHere = 1<<31 - 7

func TestParse(t *testing.T) {
	me, err := user.Current()
	require.NoError(t, err)
	mine, err := user.LookupGroupId(me.Gid)
	require.NoError(t, err)
	for _, c := range []struct {
		entries []string
		uid     uint32
		gids    []uint32
		want    bool
	}{
		{nil, 0, nil, true},
		{nil, uint32(os.Geteuid()), nil, true},
		{nil, nobodyHere, []uint32{0}, false},
		{[]string{"*"}, nobodyHere, nil, true},
		{[]string{"1000"}, 1000, nil, true},
		{[]string{"1000"}, 1001, []uint32{1000}, false},
		{[]string{"@1000"}, 1001, []uint32{7, 1000}, true},
		{[]string{"@1000"}, 1000, []uint32{7}, false},
		{[]string{"7", "@8", me.Username, "@" + mine.Name}, 9, []uint32{9}, false},
		{[]string{"7", "@8", me.Username}, 7, nil, true},
		{[]string{"7", "@8", me.Username}, 9, []uint32{8}, true},
		{[]string{"4294967294"}, 4294967294, nil, true},
	} {
		l, err := Parse(c.entries)
		require.NoError(t, err)
		require.Equal(t, c.want, l.Allows(c.uid, c.gids), "%+v", c)
	}
}

func TestBadEntries(t *testing.T) {
	for entry, want := range map[string]string{
		"":                     "want a user",
		"@":                    "want a user",
		"4294967295":           "no number of a user",
		"@4294967295":          "no number of a user",
		"no-such-user-here":    `this machine has no user "no-such-user-here"`,
		"@no-such-group-here":  `this machine has no group "no-such-group-here"`,
		"-1":                   "no user",
		"99999999999999999999": "no user",
		" ":                    "no user",
	} {
		require.ErrorContains(t, Check(entry), want, entry)
		l, err := Parse([]string{"*", entry})
		require.Error(t, err)
		require.False(t, l.Allows(nobodyHere, nil), "what is not good gives no right")
	}
}
