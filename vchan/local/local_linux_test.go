package local

import (
	"context"
	"io"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/vchan"
	"github.com/xentropyd/xentropyd/vchan/ring"
)

// pair connects a guest and a host in this process.
func pair(t testing.TB, o ring.Orders) (guest, host *vchan.Conn) {
	t.Helper()
	l, err := Listen(filepath.Join(t.TempDir(), "s"), ListenOptions{})
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	guest, err = Offer(context.Background(), l.path, OfferOptions{Orders: o})
	require.NoError(t, err)
	host, _, err = l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { _ = guest.Close(); _ = host.Close() })
	return guest, host
}

func TestHello(t *testing.T) {
	g, h := pair(t, ring.Orders{})
	go func() { _, _ = h.Write([]byte("hello")); _ = h.Close() }()
	b, err := io.ReadAll(g)
	require.NoError(t, err)
	require.Equal(t, "hello", string(b))
	require.True(t, nowait.Load())
}
