package scenario

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseFree(t *testing.T) {
	n, err := parseFree("Filesystem           1024-blocks    Used Available Capacity Mounted on\ntmpfs                   345672    204800    140872  59% /tmp\n")
	require.NoError(t, err)
	require.Equal(t, int64(140872<<10), n)
	for _, bad := range []string{"", "df: /tmp: can't find mount point", "a\ntmpfs 1 2 x 4 /tmp", "a\ntmpfs 1 2 3 4% /tmp\nmore 1 2 3 4% /"} {
		_, err := parseFree(bad)
		require.Error(t, err, "%q", bad)
	}
}

func TestRoomFor(t *testing.T) {
	const df = "Filesystem 1024-blocks Used Available Capacity Mounted on\ntmpfs 345672 241800 102400 70% /tmp\n"
	require.NoError(t, roomFor("/tmp/a.save", 100<<20, df, ""))
	err := roomFor("/tmp/a.save", 100<<20+1, df, "241799 b.save")
	require.ErrorContains(t, err, "is full: 100 MiB are free, /tmp/a.save may take 100; there are:\n241799 b.save")
	require.ErrorContains(t, roomFor("/tmp/a.save", 1, "", ""), "df printed")
}
