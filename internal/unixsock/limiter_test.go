package unixsock

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPacer(t *testing.T) {
	p := NewLimiter(2, 3)
	now := time.Unix(1000, 0)
	visit := func(uid uint32) [2]bool { ok, flood := p.Visit(uid, now); return [2]bool{ok, flood} }
	in, out, flood := [2]bool{true, false}, [2]bool{false, false}, [2]bool{false, true}
	for range 3 {
		require.Equal(t, in, visit(1))
	}
	require.Equal(t, out, visit(1))
	require.Equal(t, in, visit(2), "another user")
	now = now.Add(time.Second) // two more, of which one is owed
	require.Equal(t, in, visit(1))
	for range floodAfter - 1 {
		require.Equal(t, out, visit(1))
	}
	require.Equal(t, flood, visit(1))
	require.Equal(t, flood, visit(1), "and whatever follows")
	now = now.Add(time.Hour)
	for range 3 {
		require.Equal(t, in, visit(1), "no more than the burst")
	}
	require.Equal(t, out, visit(1))
	now = now.Add(-time.Hour) // a clock that is set back gives nothing
	require.False(t, visit(1)[0])
}

func TestBan(t *testing.T) {
	p := NewLimiter(1, 1)
	now := time.Unix(1000, 0)
	p.Ban(1, now)
	require.False(t, p.prune(now.Add(KeepOutTime-1)) && p.users[1] == nil, "it is not forgotten")
	ok, flood := p.Visit(1, now.Add(KeepOutTime-1))
	require.False(t, ok)
	require.True(t, flood)
	ok, _ = p.Visit(1, now.Add(KeepOutTime))
	require.True(t, ok)
}

func TestPacerTells(t *testing.T) {
	p := NewLimiter(1, 1)
	now := time.Unix(1000, 0)
	require.True(t, p.MayTell(1, now))
	require.False(t, p.MayTell(1, now.Add(tellEvery-1)))
	require.True(t, p.MayTell(2, now), "another user's is not hidden")
	require.True(t, p.MayTell(1, now.Add(tellEvery)))
}

// More users than there is room for share one bucket, until others are
// forgotten.
func TestPacerIsBounded(t *testing.T) {
	p := NewLimiter(1, 2)
	now := time.Unix(1000, 0)
	for uid := range uint32(3 * maxUsers) {
		p.Visit(uid, now)
	}
	require.Len(t, p.users, maxUsers)
	ok, _ := p.Visit(1<<31, now)
	require.False(t, ok)
	ok, _ = p.Visit(0, now)
	require.True(t, ok, "who is known has its own")
	now = now.Add(10 * time.Second)
	ok, _ = p.Visit(1<<31, now)
	require.True(t, ok)
	require.Less(t, len(p.users), 10)
}
