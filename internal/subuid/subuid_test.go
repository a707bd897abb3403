package subuid

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func lookup(name string) (uint32, error) {
	id, ok := map[string]uint32{"root": 0, "anna": 1000, "1001": 1001}[name]
	if !ok {
		return 0, errors.New("unknown")
	}
	return id, nil
}

func of(text string) *table {
	return &table{path: "/nonexistent", looked: time.Now(), ranges: parse(strings.NewReader(text), lookup)}
}

func TestOwner(t *testing.T) {
	table := of("# a comment\nanna:100000:65536\n\n1001:165536:65536 \nroot:4294901760:65536\nanna:300000:1\n")
	for uid, want := range map[uint32]int64{
		0: -1, 1000: -1, 99999: -1, 100000: 1000, 165535: 1000, 165536: 1001, 231071: 1001, 231072: -1,
		299999: -1, 300000: 1000, 300001: -1, 4294901759: -1, 4294901760: 0, 4294967295: 0,
	} {
		owner, ok := table.owner(uid)
		require.Equal(t, want >= 0, ok, uid)
		if ok {
			require.EqualValues(t, want, owner, uid)
		}
	}
}

// Lines that cannot be are left out, and no others with them.
func TestBadLines(t *testing.T) {
	for _, line := range []string{
		"", ":", "::", "anna", "anna:1", "anna:1:0", "anna:x:1", "anna:1:x", "anna:-1:5", "anna:1:2:3",
		"nobody-here:500000:10", "#anna:500000:10",
		"anna:4294967295:2", "anna:4294967296:1", "anna:1:99999999999999999999",
	} {
		table := of(line + "\nanna:200000:10\n" + line)
		require.Len(t, table.ranges, 1, "%q", line)
		owner, ok := table.owner(200009)
		require.True(t, ok)
		require.EqualValues(t, 1000, owner)
	}
}

func TestOverlapping(t *testing.T) {
	table := of("1001:150:100\nanna:100:100\nanna:120:10\nroot:100:1\n")
	for uid, want := range map[uint32]uint32{100: 1000, 125: 1000, 150: 1000, 199: 1000, 200: 1001, 249: 1001} {
		owner, ok := table.owner(uid)
		require.True(t, ok)
		require.Equal(t, want, owner, uid)
	}
}

func TestBounded(t *testing.T) {
	var b strings.Builder
	for i := range 3 * maxRanges {
		fmt.Fprintf(&b, "anna:%d:1\n", 100000+2*i)
	}
	require.LessOrEqual(t, len(of(b.String()).ranges), maxRanges)
	b.Reset()
	asked := 0
	for i := range 3 * maxNames {
		fmt.Fprintf(&b, "user%d:%d:1\n", i, 100000+2*i)
	}
	ranges := parse(strings.NewReader(b.String()), func(string) (uint32, error) { asked++; return 7, nil })
	require.Len(t, ranges, maxNames)
	require.Equal(t, maxNames, asked)
	require.Empty(t, parse(strings.NewReader(strings.Repeat("x", 2*maxFile)), lookup))
}

// The file is read again when it has changed, a minute later at most.
func TestReload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "subuid")
	synctest.Test(t, func(t *testing.T) {
		table := &table{path: path}
		_, ok := table.owner(100000)
		require.False(t, ok, "there is no file")
		require.NoError(t, os.WriteFile(path, []byte("1000:100000:65536\n"), 0o644))
		_, ok = table.owner(100000)
		require.False(t, ok, "looked just now")
		time.Sleep(staleTime)
		owner, ok := table.owner(100000)
		require.True(t, ok)
		require.EqualValues(t, 1000, owner)
		require.NoError(t, os.WriteFile(path, []byte("10000:100000:65536\n"), 0o644))
		time.Sleep(staleTime)
		owner, _ = table.owner(100000)
		require.EqualValues(t, 10000, owner)
		require.NoError(t, os.Remove(path))
		time.Sleep(staleTime)
		_, ok = table.owner(100000)
		require.False(t, ok)
	})
}

func FuzzParse(f *testing.F) {
	f.Add("anna:100000:65536\n1001:165536:65536")
	f.Fuzz(func(t *testing.T, text string) {
		next := int64(0)
		for _, s := range parse(strings.NewReader(text), lookup) {
			if int64(s.first) < next || s.last < s.first {
				t.Fatalf("%+v comes after %d", s, next)
			}
			next = int64(s.last) + 1
		}
	})
}
