package fortuna

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/hex"
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	require.NoError(t, err)
	return b
}

func read(t testing.TB, r interface{ Read([]byte) (int, error) }, n int) []byte {
	t.Helper()
	p := make([]byte, n)
	got, err := r.Read(p)
	require.NoError(t, err)
	require.Equal(t, n, got)
	return p
}

// Made with mirage-crypto-rng 0.10.7.
func TestGeneratorMirageOS(t *testing.T) {
	g := NewGenerator()
	g.Reseed([]byte("Hello"))
	assert.Equal(t, unhex(t, "481319795cc560ff6dc36cff6345a117a25b64475ebaeb55ff263c92b5d18406"), read(t, g, 32))
	assert.Equal(t, unhex(t, "8e2d40e65eaf83f20838cea6ca5a8c67966fcc29de8215ff971e7b462963047a"), read(t, g, 32))
	assert.Equal(t, unhex(t, "c3f8f52414"), read(t, g, 5))
}

func TestGeneratorNotSeeded(t *testing.T) {
	for name, g := range map[string]*Generator{"new": NewGenerator(), "zero value": {}} {
		t.Run(name, func(t *testing.T) {
			p := []byte{1, 2, 3}
			for _, n := range []int{0, 1, 3} {
				got, err := g.Read(p[:n])
				assert.ErrorIs(t, err, ErrNotSeeded)
				assert.Zero(t, got)
			}
			assert.Equal(t, []byte{1, 2, 3}, p)
			g.Reseed(nil) // even an empty seed is one
			read(t, g, 3)
		})
	}
}

// model is the schedule written down once more, with nothing but crypto/cipher:
// output, then two blocks.
func model(g *Generator, n int) []byte {
	var out []byte
	for n > 0 {
		m := min(n, 1<<20)
		n -= m
		block, err := aes.NewCipher(g.key[:])
		if err != nil {
			panic(err)
		}
		blocks := (m + 15) / 16
		stream := make([]byte, blocks*16+32)
		cipher.NewCTR(block, g.ctr[:]).XORKeyStream(stream, stream)
		out = append(out, stream[:m]...)
		copy(g.key[:], stream[blocks*16:])
		for range blocks + 2 {
			for i := 15; i >= 0; i-- {
				if g.ctr[i]++; g.ctr[i] != 0 {
					break
				}
			}
		}
	}
	return out
}

func TestGeneratorSchedule(t *testing.T) {
	sizes := []int{
		0, 1, 15, 16, 17, 31, 32, 33, 63, 64, 65, 79, 80, 81, 95, 96, 97, 111, 112, 113, 127, 128, 129, 143, 144,
		145, 255, 256, 257, 4095, 4096, 4097, 1<<16 - 1, 1 << 16, 1<<16 + 1, 1<<20 - 1, 1 << 20, 1<<20 + 1,
	}
	for _, n := range sizes {
		g := NewGenerator()
		g.Reseed(fmt.Appendf(nil, "size %d", n))
		m := *g
		for range 2 {
			// Not assert.Equal: its message would print a megabyte.
			require.True(t, string(read(t, g, n)) == string(model(&m, n)), "output of %d bytes", n)
			require.Equal(t, m.key, g.key, "key after %d bytes", n)
			require.Equal(t, m.ctr, g.ctr, "counter after %d bytes", n)
		}
	}
}

// Two requests of 1 MiB and one of 1 byte are what a read of 2 MiB + 1 is.
func TestGeneratorSplitsAtMaxRequest(t *testing.T) {
	whole, parts := NewGenerator(), NewGenerator()
	whole.Reseed([]byte("split"))
	parts.Reseed([]byte("split"))
	got := read(t, whole, 2<<20+1)
	want := append(append(read(t, parts, 1<<20), read(t, parts, 1<<20)...), read(t, parts, 1)...)
	assert.True(t, string(want) == string(got))
	assert.Equal(t, parts.key, whole.key)
}

func TestGeneratorCounterCarries(t *testing.T) {
	for _, carry := range []string{
		"000000000000000000000000000000fe", "0000000000000000fffffffffffffffd", "00000000ffffffffffffffffffffffff",
	} {
		for _, n := range []int{16, 48, 160, 512} {
			g := NewGenerator()
			copy(g.ctr[:], unhex(t, carry))
			m := *g
			assert.Equal(t, model(&m, n), read(t, g, n), "%s %d", carry, n)
			assert.Equal(t, m.ctr, g.ctr, "%s %d", carry, n)
		}
	}
}

func TestAddCounter(t *testing.T) {
	for _, c := range []struct {
		n        uint64
		from, to string
	}{
		{0, "00000000000000000000000000000005", "00000000000000000000000000000005"},
		{0, "0000000000000000ffffffffffffffff", "0000000000000000ffffffffffffffff"},
		{1, "0000000000000000ffffffffffffffff", "00000000000000010000000000000000"},
		{2, "0000000000000000fffffffffffffffe", "00000000000000010000000000000000"},
		{math.MaxUint64, "00000000000000000000000000000001", "00000000000000010000000000000000"},
		{1, "ffffffffffffffffffffffffffffffff", "00000000000000000000000000000000"},
	} {
		ctr := [blockSize]byte(unhex(t, c.from))
		addCounter(&ctr, c.n)
		assert.Equal(t, unhex(t, c.to), ctr[:], "%s + %d", c.from, c.n)
	}
}

// A short request makes no cipher.Stream: that would cost it more than the
// encryption.
func TestShortRequestsMakeNoStream(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates by itself: run it without -race")
	}
	g := seededGenerator()
	allocs := func(n int) float64 {
		p := make([]byte, n)
		return testing.AllocsPerRun(100, func() { g.Read(p) })
	}
	short := allocs(1)
	assert.Equal(t, short, allocs(tinyBlocks*blockSize))
	assert.Equal(t, short, allocs(tinyBlocks*blockSize+blockSize-1), "a part of a block more")
	assert.Equal(t, short+1, allocs((tinyBlocks+1)*blockSize))
}

func TestGeneratorWipes(t *testing.T) {
	g := NewGenerator()
	g.Reseed([]byte("wipe"))
	for _, n := range []int{1, 16, 33, 64, 65, 127, 128, 300, 5000} {
		before := g.key
		read(t, g, n)
		assert.NotEqual(t, before, g.key, "the key is replaced after %d bytes", n)
		assert.Zero(t, g.scratch, "scratch after %d bytes", n)
	}
	g.Wipe()
	assert.Zero(t, *g)
	_, err := g.Read(make([]byte, 1))
	assert.ErrorIs(t, err, ErrNotSeeded)
}
