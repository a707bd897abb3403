package guest

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

// counting is a reader that counts how often it is asked, and has nothing.
type counting int

func (c *counting) Read([]byte) (int, error) {
	*c++
	return 0, errors.New("asked")
}

// What the package comment says of crypto/rand: a reader is ignored where keys
// are made, and by crypto/ed25519 alone it is not.
func TestStandardLibraryIgnoresAReader(t *testing.T) {
	t.Setenv("GODEBUG", "cryptocustomrand=0")
	var asked counting
	_, err := ecdh.X25519().GenerateKey(&asked)
	require.NoError(t, err)
	_, err = ecdh.P256().GenerateKey(&asked)
	require.NoError(t, err)
	k, err := ecdsa.GenerateKey(elliptic.P256(), &asked)
	require.NoError(t, err)
	_, err = ecdsa.SignASN1(&asked, k, make([]byte, 32))
	require.NoError(t, err)
	require.Zero(t, asked)
	_, _, err = ed25519.GenerateKey(&asked)
	require.Error(t, err)
	require.NotZero(t, asked)
}
