package unix

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/transport"
)

func TestX(t *testing.T) {
	p := filepath.Join(t.TempDir(), "s")
	l, err := Listen(p, transport.DefaultListenOptions())
	require.NoError(t, err)
	g, err := Dial(t.Context(), p)
	require.NoError(t, err)
	c, _, err := l.Accept()
	require.NoError(t, err)
	go func() { time.Sleep(time.Second); g.Write([]byte("hello")) }()
	b := make([]byte, 5)
	n, err := c.Read(b)
	t.Log(n, err, string(b))
}
