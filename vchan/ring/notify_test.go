package ring

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNotifyOnlyWhenAsked(t *testing.T) {
	_, server, client := pair(t, Orders{10, 11})
	b := make([]byte, 8)
	told := func(_ int, told bool, err error) bool {
		require.NoError(t, err)
		return told
	}
	for _, d := range [][2]*Ring{{server, client}, {client, server}} {
		require.True(t, told(d[0].Write(b)), "asked for by the start")
		require.False(t, told(d[0].Write(b)), "asked for once, told once")
		n, err := d[1].AskData()
		require.NoError(t, err)
		require.Equal(t, 16, n)
		require.True(t, told(d[0].Write(b)))
		require.False(t, told(d[0].Write(b)))

		require.False(t, told(d[1].Read(b)))
		n, err = d[0].AskSpace()
		require.NoError(t, err)
		require.Equal(t, d[0].WriteSize()-24, n)
		require.False(t, told(d[0].Write(b)), "a write is not what was asked for")
		require.True(t, told(d[1].Read(b)))
		require.False(t, told(d[1].Read(b)))
		require.False(t, told(d[1].Read(nil)), "nothing moved")
	}
}

// cParty does what libxenvchan's non-blocking read and write do about the
// notify bits: it asks whenever it gets less than it wanted.
type cParty struct{ r *Ring }

func (c cParty) read(p []byte) (int, bool) {
	if n, _ := c.r.Buffered(); n < len(p) {
		_, _ = c.r.AskData()
	}
	n, told, _ := c.r.Read(p)
	return n, told
}

func (c cParty) write(p []byte) (int, bool) {
	if n, _ := c.r.Space(); n < len(p) {
		_, _ = c.r.AskSpace()
	}
	n, told, _ := c.r.Write(p)
	return n, told
}

// ourParty asks only before it would sleep, as package vchan does.
type ourParty struct{ r *Ring }

func (c ourParty) read(p []byte) (int, bool) {
	n, told, _ := c.r.Read(p)
	if n == 0 {
		_, _ = c.r.AskData()
	}
	return n, told
}

func (c ourParty) write(p []byte) (int, bool) {
	n, told, _ := c.r.Write(p)
	if n == 0 {
		_, _ = c.r.AskSpace()
	}
	return n, told
}

type party interface {
	read([]byte) (int, bool)
	write([]byte) (int, bool)
}

// Over the same schedules we send no more notifications than the C library.
func TestNotificationsPerMB(t *testing.T) {
	count := func(seed uint64, make2 func(w, r *Ring) (party, party)) (events int) {
		_, server, client := pair(t, Orders{11, 10})
		w, r := make2(client, server)
		rnd := rand.New(rand.NewPCG(seed, 2))
		b := make([]byte, 4096)
		moved := 0
		for moved < 1<<20 {
			var n int
			var told bool
			if rnd.IntN(2) == 0 {
				_, told = w.write(b[:1+rnd.IntN(len(b))])
			} else {
				n, told = r.read(b[:1+rnd.IntN(len(b))])
			}
			moved += n
			if told {
				events++
			}
		}
		return events
	}
	for seed := range uint64(5) {
		c := count(seed, func(w, r *Ring) (party, party) { return cParty{w}, cParty{r} })
		ours := count(seed, func(w, r *Ring) (party, party) { return ourParty{w}, ourParty{r} })
		require.LessOrEqual(t, ours, c)
		require.Positive(t, ours)
		t.Logf("notifications per MB: C %d, ours %d", c, ours)
	}
}
