package local

import (
	"context"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/xentropyd/xentropyd/internal/leaktest"
	"github.com/xentropyd/xentropyd/internal/lend"
	"github.com/xentropyd/xentropyd/vchan/ring"
)

// fakeHost answers each connection as it is told.
func fakeHost(t *testing.T, answer func(uc *net.UnixConn)) (path string) {
	path = filepath.Join(t.TempDir(), "host")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			uc, err := l.AcceptUnix()
			if err != nil {
				return
			}
			answer(uc)
			_ = uc.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return path
}

func TestDialFails(t *testing.T) {
	leaktest.Check(t)
	_, err := Dial(context.Background(), filepath.Join(t.TempDir(), "s"))
	require.ErrorContains(t, err, "no host listens")

	goodPage := func(orders ring.Orders) int {
		fd, err := lend.Memory()
		require.NoError(t, err)
		p, err := mapPage(fd)
		require.NoError(t, err)
		_, err = ring.Create(ring.Memory{Page: p, Left: make([]byte, 1<<12), Right: make([]byte, 1<<12)}, orders,
			make([]uint32, orders.Grants()))
		require.NoError(t, err)
		require.NoError(t, p.Close())
		return fd
	}
	plain := func(size int64, seal int) int {
		fd, err := unix.MemfdCreate("x", unix.MFD_ALLOW_SEALING|unix.MFD_CLOEXEC)
		require.NoError(t, err)
		require.NoError(t, unix.Ftruncate(fd, size))
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seal)
		require.NoError(t, err)
		return fd
	}
	null := func() int {
		fd, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
		require.NoError(t, err)
		return fd
	}
	accepted := encodeAnswer(statusAccepted, "")
	for name, c := range map[string]struct {
		say  []byte
		with []int
		why  string
	}{
		"nothing":     {nil, nil, "hung up without an answer"},
		"half a head": {accepted[:7], nil, "hung up"},
		"nonsense":    {[]byte("nonsense nonsense nonsense"), nil, "wrong magic"},
		"refusal":     {encodeAnswer(statusRefused, "not you"), nil, "the host refused the channel: not you"},
		"busy":        {encodeAnswer(statusBusy, "soon"), nil, "busy, try again later: soon"},
		"no memory":   {accepted, nil, "no memory came"},
		"no memfd":    {accepted, []int{null()}, "no memfd"},
		"unsealed":    {accepted, []int{plain(ring.PageSize, 0)}, "seals 0x0"},
		"may grow":    {accepted, []int{plain(ring.PageSize, unix.F_SEAL_SHRINK)}, "seals"},
		"may shrink":  {accepted, []int{plain(ring.PageSize, unix.F_SEAL_GROW)}, "seals"},
		"short":       {accepted, []int{plain(ring.PageSize-1, lend.Seals)}, "4095 bytes"},
		"long":        {accepted, []int{plain(ring.PageSize+1, lend.Seals)}, "4097 bytes"},
		"no vchan":    {append(accepted, 1), []int{plain(ring.PageSize, lend.Seals)}, ring.ErrLayout.Error()},
		"rings elsewhere": {
			append(accepted, 1),
			[]int{goodPage(ring.Orders{Left: 12, Right: 12})},
			"ring has 0 bytes of memory",
		},
		"two memories":     {accepted, []int{null(), null()}, ""},
		"memory, refusing": {encodeAnswer(statusRefused, "no"), []int{null()}, "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			path := fakeHost(t, func(uc *net.UnixConn) {
				if c.say != nil {
					_, _, _ = uc.WriteMsgUnix(c.say, unix.UnixRights(c.with...), nil)
				}
				if len(c.say) > len(accepted) { // it says that the memory is formatted
					_, _ = uc.Read(make([]byte, 1))
				}
			})
			conn, err := Dial(context.Background(), path)
			if err == nil {
				_, err = conn.Read(make([]byte, 1))
				_ = conn.Close()
			}
			require.ErrorContains(t, err, c.why)
			for _, fd := range c.with {
				_ = unix.Close(fd)
			}
		})
	}
}

// A guest does not wait for a silent host for longer than it wants to.
func TestDialHonoursContext(t *testing.T) {
	leaktest.Check(t)
	hold := make(chan struct{})
	path := fakeHost(t, func(*net.UnixConn) { <-hold })
	defer close(hold)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
	defer cancel()
	_, err := Dial(ctx, path)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}
