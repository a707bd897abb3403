package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	console "github.com/xentropyd/xentropyd/transport/console/ring"
	"github.com/xentropyd/xentropyd/vchan/ring"
)

// The pages are written here without the library's help. What is not where the
// host looks attacks nothing.
func TestVchanLayout(t *testing.T) {
	o := &offer{channel: channel{page: make([]byte, 4096), refs: []uint32{9, 5, 6, 7}}}
	o.format(12, 13)
	orders, err := ring.ReadOrders(o.page)
	require.NoError(t, err)
	require.Equal(t, ring.Orders{Left: 12, Right: 13}, orders)
	left, right, err := ring.ReadGrants(o.page, orders)
	require.NoError(t, err)
	require.Equal(t, []uint32{5, 6, 7}, append(left, right...))

	o.format(11, 10)
	orders, err = ring.ReadOrders(o.page)
	require.NoError(t, err)
	require.False(t, o.here())
	r, err := ring.Attach(ring.Memory{Page: o.page}, orders)
	require.NoError(t, err)
	require.True(t, o.here())
	require.Equal(t, ring.Connected, r.Peer())
	_, _, err = r.Write([]byte{1, 2})
	require.NoError(t, err)
	require.Equal(t, uint32(2), o.word(leftProd).Load())
	require.Equal(t, []byte{1, 2}, o.page[leftAt:leftAt+2])
	o.word(leftCons).Store(2)
	space, err := r.Space()
	require.NoError(t, err)
	require.Equal(t, leftSize, space)
	o.page[rightAt] = 3
	o.word(rightProd).Store(1)
	p := make([]byte, 1)
	n, _, err := r.Read(p)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, []byte{3}, p)
	require.Equal(t, uint32(1), o.word(rightCons).Load())
	r.Leave()
	require.True(t, o.gone())
}

func TestConsoleLayout(t *testing.T) {
	f := &front{channel: channel{page: make([]byte, 4096)}}
	r, err := console.Attach(f.page)
	require.NoError(t, err)
	f.page[outAt] = 3
	f.word(outProd).Store(1)
	p := make([]byte, 1)
	n, err := r.Read(p)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, []byte{3}, p)
	require.Equal(t, uint32(1), f.word(outCons).Load())
	_, err = r.Write([]byte{4})
	require.NoError(t, err)
	require.Equal(t, uint32(1), f.word(inProd).Load())
	require.Equal(t, byte(4), f.page[inAt])
	f.word(inCons).Store(1)
	unread, err := r.Unread()
	require.NoError(t, err)
	require.Zero(t, unread)
}
