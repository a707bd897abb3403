package fortuna

import (
	"crypto/aes"
	"crypto/sha256"
	"testing"

	"github.com/stretchr/testify/assert"
)

// littleEndian is the book's own counter mode, block by block. The vectors of
// PyCrypto pin it, and with it the hash, the pools and the schedule that it
// shares with the real generator.
type littleEndian struct{}

func (littleEndian) increment(ctr *[blockSize]byte) {
	for i := range ctr {
		if ctr[i]++; ctr[i] != 0 {
			return
		}
	}
}

func (m littleEndian) generateBlocks(g *Generator, key [keySize]byte, k int) []byte {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err)
	}
	r := make([]byte, k*blockSize)
	for i := range k {
		block.Encrypt(r[i*blockSize:], g.ctr[:])
		m.increment(&g.ctr)
	}
	return r
}

func (m littleEndian) request(g *Generator, p []byte) {
	key := g.key
	copy(p, m.generateBlocks(g, key, (len(p)+blockSize-1)/blockSize))
	copy(g.key[:], m.generateBlocks(g, key, 2))
}

// PyCrypto, SelfTest/Random/Fortuna.
func TestSHAd256PyCrypto(t *testing.T) {
	h := sha256.New()
	h.Write([]byte("abc"))
	var digest [sha256.Size]byte
	shad256(h, &digest)
	assert.Equal(t, unhex(t, "4f8b42c22dd3729b519ba6f68d2da7cc5b2d606d05daed5ad5128cc03e6c6358"), digest[:])
	assert.Equal(t, sha256.New().Sum(nil), h.Sum(nil), "the hash is left as new")
}

func TestGeneratorPyCrypto(t *testing.T) {
	g := &Generator{mode: littleEndian{}}
	g.Reseed([]byte("Hello"))
	assert.Equal(t, unhex(t, "0ea6919d4361551364242a4ba890f8f073676e82cf1a52bb880f7e496648b565"), g.key[:])
	assert.Equal(t, [blockSize]byte{1}, g.ctr)
	assert.Equal(t, unhex(t, "7cbe2c17684ac223d08969ee8b565616717661c0d2f4758bd6ba140bf3791abd"), read(t, g, 32))
	assert.Equal(t, unhex(t, "33a1bb21987859caf2bbfc5615bef56de6b71ff9f37112d0c193a135160862b7"), g.key[:])
	assert.Equal(t, [blockSize]byte{5}, g.ctr)
}

func TestPoolPyCrypto(t *testing.T) {
	f := New()
	for range 2 {
		for pool := range NumPools {
			assert.NoError(t, f.AddEvent(42, pool, []byte("XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX")))
		}
	}
	var digest [sha256.Size]byte
	f.pools[0].take(&digest)
	assert.Equal(t, unhex(t, "aef42a5dcbddab67e8efa118e1b47fde5d697f89beb971b99e6e8e5e89fbf064"), digest[:])
}
