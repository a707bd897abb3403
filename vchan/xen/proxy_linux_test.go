package xen

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/vchan"
	"github.com/xentropyd/xentropyd/vchan/ring"
)

// With Debian's vchan-socket-proxy in between: on one side of it our vchan, on
// the other a Unix socket. XENTROPYD_VCHAN_PROXY is the program. It is run in
// both roles, in this domain.
func TestRealProxy(t *testing.T) {
	program := os.Getenv("XENTROPYD_VCHAN_PROXY")
	if program == "" {
		t.Skip("set XENTROPYD_VCHAN_PROXY to Xen's vchan-socket-proxy")
	}
	r := realDomain(t)
	total := number32(t, "XENTROPYD_VCHAN_BYTES", 64<<10)
	for i, mode := range []string{"client", "server"} {
		t.Run("the proxy is the "+mode, func(t *testing.T) {
			path := fmt.Sprintf("%s-proxy-%d", r.path, i)
			socket := filepath.Join(t.TempDir(), "s")
			ours, plain := r.besideProxy(t, program, mode, path, socket)
			defer plain.Close()
			deadline, _ := r.ctx.Deadline()
			require.NoError(t, plain.SetDeadline(deadline))

			there, back := randomBytes(total, 1), randomBytes(total, 2)
			done := make(chan error, 3)
			go func() { done <- send(ours, there, 9000, 3) }()
			go func() { done <- send(plain, back, 9000, 4) }()
			go func() { done <- expect(plain, there, 7000, 5) }()
			err := expect(ours, back, 7000, 6)
			require.NoError(t, errors.Join(err, <-done, <-done, <-done))

			// The proxy passes the end on, from the side that closes.
			if mode == "client" {
				require.NoError(t, plain.Close())
				rest, err := io.ReadAll(ours)
				require.NoError(t, err)
				require.Empty(t, rest)
				require.NoError(t, ours.Close())
				return
			}
			require.NoError(t, ours.Close())
			rest, err := io.ReadAll(plain)
			require.NoError(t, err)
			require.Empty(t, rest)
		})
	}
}

// besideProxy starts the proxy and gives both ends of what it connects.
func (r *real) besideProxy(t *testing.T, program, mode, path, socket string) (*vchan.Conn, net.Conn) {
	t.Helper()
	var out strings.Builder
	cmd := exec.CommandContext(r.ctx, program, "-v", "--mode="+mode, fmt.Sprint(r.own), path, socket)
	cmd.Stdout, cmd.Stderr = &out, &out
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("the proxy: %s", out.String())
		}
	})
	if mode == "client" {
		ours, err := Offer(r.ctx, r.store, r.own, path, OfferOptions{Orders: ring.Orders{Left: 12, Right: 11}})
		require.NoError(t, err)
		t.Cleanup(func() { _ = ours.Close() })
		require.NoError(t, cmd.Start())
		var plain net.Conn
		for {
			if plain, err = net.Dial("unix", socket); err == nil {
				break
			}
			require.NoError(t, r.ctx.Err(), "the proxy's socket: %v", err)
			time.Sleep(20 * time.Millisecond)
		}
		require.NoError(t, ours.Wait(r.ctx))
		return ours, plain
	}
	l, err := net.Listen("unix", socket)
	require.NoError(t, err)
	defer l.Close()
	require.NoError(t, cmd.Start())
	ours, err := Connect(r.ctx, r.store, r.own, path, ConnectOptions{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = ours.Close() })
	plain, err := l.Accept()
	require.NoError(t, err)
	return ours, plain
}
