package fortuna

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

func FuzzAddEvent(f *testing.F) {
	f.Add(uint8(0), 0, []byte{1})
	f.Add(uint8(255), 31, make([]byte, 32))
	f.Add(uint8(1), 32, make([]byte, 33))
	f.Add(uint8(1), -1, []byte{})
	f.Fuzz(func(t *testing.T, source uint8, pool int, data []byte) {
		fort := New()
		kept := bytes.Clone(data)
		err := fort.AddEvent(source, pool, data)
		valid := pool >= 0 && pool < NumPools && len(data) >= 1 && len(data) <= MaxEvent
		require.Equal(t, valid, err == nil)
		require.Equal(t, kept, data)
		if !valid {
			var e *EventError
			require.ErrorAs(t, err, &e)
			require.NotEmpty(t, e.Error())
			return
		}
		require.EqualValues(t, 2+len(data), fort.pools[pool].size)
	})
}

// FuzzRead takes each pair of bytes as a length, and in between adds the input
// as events.
func FuzzRead(f *testing.F) {
	f.Add([]byte{0, 1, 0, 32, 4, 0, 4, 1, 16, 0})
	f.Add([]byte{0, 0, 0, 0, 0, 1}) // nothing, twice, before there is a buffer
	f.Add([]byte{255, 255, 0, 0, 15, 224, 0, 1})
	f.Fuzz(func(t *testing.T, sizes []byte) {
		sizes = sizes[:min(len(sizes), 64)]
		a, b := oneShard(New()), oneShard(New())
		for _, x := range []*Fortuna{a, b} {
			x.Reseed([]byte("fuzz"))
		}
		g := NewGenerator()
		g.Reseed([]byte("fuzz"))
		m := *g
		for i := 0; i+1 < len(sizes); i += 2 {
			n := int(sizes[i])<<8 | int(sizes[i+1])
			p := make([]byte, n+32)
			fence := bytes.Repeat([]byte{0x5a}, 32)
			copy(p[n:], fence)
			got, err := a.Read(p[:n:n])
			require.NoError(t, err)
			require.Equal(t, n, got)
			require.Equal(t, fence, p[n:], "written beyond the end")
			require.True(t, bytes.Equal(p[:n], read(t, b, n)), "same state, same reads, other bytes")
			require.True(t, bytes.Equal(read(t, g, n), model(&m, n)))
			s := &a.shards.all[0]
			if s.buf == nil {
				continue // nothing but reads of nothing so far
			}
			require.Equal(t, make([]byte, shardBuffer-s.left), s.buf[:shardBuffer-s.left])
		}
	})
}
