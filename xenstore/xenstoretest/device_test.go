package xenstoretest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/xenstore/internal/wire"
	"github.com/xentropyd/xentropyd/xenstore/xenstoretest"
)

// TestOverlap: who writes a second request before the answer to the first is
// told so and cut off.
func TestOverlap(t *testing.T) {
	s := xenstoretest.NewServer()
	defer s.Close()
	s.AddDomain(3, "three")
	s.SetFault(func(r xenstoretest.Request) xenstoretest.Fault {
		return xenstoretest.Fault{Mute: r.ReqID == 2}
	})
	d, err := s.DeviceDialer(3)(t.Context())
	require.NoError(t, err)
	defer d.Close()
	_, err = d.Write(wire.Message(wire.Read, 1, 0, wire.Join("name")))
	require.NoError(t, err)
	h, v, err := wire.Next(d, nil)
	require.NoError(t, err)
	require.Equal(t, uint32(1), h.Req)
	require.Equal(t, "three", string(v))
	_, err = d.Write(wire.Message(wire.Read, 2, 0, wire.Join("name")))
	require.NoError(t, err)
	_, err = d.Write(wire.Message(wire.Read, 3, 0, wire.Join("name")))
	require.ErrorIs(t, err, xenstoretest.ErrOverlap)
	_, _, err = wire.Next(d, nil)
	require.Error(t, err)
}

// TestDeviceMessage: one write is one request of at most 4096 bytes with its
// header.
func TestDeviceMessage(t *testing.T) {
	s := xenstoretest.NewServer()
	defer s.Close()
	for n, want := range map[int]bool{4096: true, 4097: false, 15: false} {
		d, err := s.DeviceDialer(0)(t.Context())
		require.NoError(t, err)
		msg := make([]byte, n)
		if n > wire.HeaderSize {
			msg = wire.Message(wire.Write, 1, 0, append(wire.Join("/a"), make([]byte, n-wire.HeaderSize-3)...))
		}
		_, err = d.Write(msg)
		require.Equal(t, want, err == nil, "%d bytes: %v", n, err)
		require.NoError(t, d.Close())
	}
}
