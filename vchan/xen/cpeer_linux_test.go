package xen

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/vchan"
	"github.com/xentropyd/xentropyd/vchan/ring"
)

// Against Debian's libxenvchan, by way of testdata/cpeer. XENTROPYD_VCHAN_CPEER
// is the compiled program; or it is "remote", and somebody starts the program
// in the other domain with mode pattern, one time for one run of this test,
// with the same XENTROPYD_VCHAN_PATH; XENTROPYD_VCHAN_ROLE is then our role,
// and XENTROPYD_VCHAN_BYTES how much (64 KiB). With XENTROPYD_VCHAN_CLOSE=first
// we close first.
func TestRealCPeer(t *testing.T) {
	program := os.Getenv("XENTROPYD_VCHAN_CPEER")
	if program == "" {
		t.Skip("compile testdata/cpeer and set XENTROPYD_VCHAN_CPEER to the program")
	}
	r := realDomain(t)
	total := number32(t, "XENTROPYD_VCHAN_BYTES", 64<<10)
	if program == "remote" {
		c := r.endBesideC(r.role, os.Getenv("XENTROPYD_VCHAN_PATH"), DefaultOrders)
		require.NoError(t, patternWithC(c, r.role, total, 1))
		require.NoError(t, closeBesideC(c, os.Getenv("XENTROPYD_VCHAN_CLOSE") == "first"))
		return
	}
	n := 0
	for _, role := range []string{"server", "client"} {
		for _, o := range []ring.Orders{
			{Left: 11, Right: 10},
			{Left: 10, Right: 11},
			{Left: 12, Right: 12},
			{Left: 16, Right: 16},
			{Left: 12, Right: 11},
		} {
			for bits := range 4 {
				n++
				args := []string{
					"--seed", fmt.Sprint(n), "--left", fmt.Sprint(1 << o.Left),
					"--right", fmt.Sprint(1 << o.Right),
				}
				block, first := bits&1 == 0, bits&2 == 0
				if !block {
					args = append(args, "--nonblock")
				}
				if !first { // then C does
					args = append(args, "--close", "first")
				}
				name := fmt.Sprintf("our %s, orders %d and %d, C blocks %v, we close first %v", role,
					o.Left, o.Right, block, first)
				t.Run(name, func(t *testing.T) {
					path := fmt.Sprintf("%s-c-%d", r.path, n)
					other := map[string]string{"server": "client", "client": "server"}[role]
					cmd := exec.CommandContext(r.ctx, program, append([]string{
						other, fmt.Sprint(r.own), path,
						"pattern", fmt.Sprint(total),
					}, args...)...)
					var out strings.Builder
					cmd.Stdout, cmd.Stderr = &out, &out
					require.NoError(t, cmd.Start())
					err := func() error {
						c := r.endBesideC(role, path, o)
						return errors.Join(patternWithC(c, role, total, n), closeBesideC(c, first))
					}()
					require.NoError(t, errors.Join(err, cmd.Wait()), out.String())
				})
			}
		}
	}
}

func (r *real) endBesideC(role, path string, o ring.Orders) *vchan.Conn {
	r.t.Helper()
	var c *vchan.Conn
	var err error
	if role == "server" {
		c, err = Offer(r.ctx, r.store, r.peer, path, OfferOptions{Orders: o})
	} else {
		c, err = Connect(r.ctx, r.store, r.peer, path, ConnectOptions{})
	}
	require.NoError(r.t, err)
	r.t.Cleanup(func() { _ = c.Close() })
	require.NoError(r.t, c.Wait(r.ctx))
	deadline, _ := r.ctx.Deadline()
	require.NoError(r.t, c.SetDeadline(deadline))
	return c
}

// patternWithC does cpeer's mode pattern: the server sends pattern(seed), the
// client pattern(seed+1).
func patternWithC(c *vchan.Conn, role string, total, seed int) error {
	ours, theirs := uint64(seed), uint64(seed+1)
	if role == "client" {
		ours, theirs = theirs, ours
	}
	sent := make(chan error, 1)
	go func() { sent <- send(c, cPattern(ours, total), 9000, ours) }()
	err := expect(c, cPattern(theirs, total), 7000, theirs)
	return errors.Join(err, <-sent)
}

func cPattern(x uint64, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		x = x*6364136223846793005 + 1442695040888963407
		b[i] = byte(x >> 56)
	}
	return b
}

func closeBesideC(c *vchan.Conn, first bool) error {
	if first {
		return c.Close()
	}
	rest, err := io.ReadAll(c)
	if len(rest) > 0 {
		err = errors.Join(err, fmt.Errorf("%d bytes more than were to come", len(rest)))
	}
	return errors.Join(err, c.Close())
}
