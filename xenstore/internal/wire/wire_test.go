package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestKnownMessages: as a C client of libxenstore 4.17 and the C xenstored have
// them on a little-endian machine.
func TestKnownMessages(t *testing.T) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("the samples are little-endian")
	}
	read := []byte("\x02\x00\x00\x00\x07\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00/a/b\x00")
	require.Equal(t, read, Message(Read, 7, 0, Join("/a/b")))
	end := []byte("\x07\x00\x00\x00\x07\x00\x00\x00\x03\x00\x00\x00\x02\x00\x00\x00T\x00")
	require.Equal(t, end, Message(TransactionEnd, 7, 3, Join("T")))
	h, p, err := Next(bytes.NewReader([]byte("\x10\x00\x00\x00\x07\x00\x00\x00\x01\x00\x00\x00\x07\x00\x00\x00ENOENT\x00")), nil)
	require.NoError(t, err)
	require.Equal(t, Header{Op: Error, Req: 7, Tx: 1, Len: 7}, h)
	require.Equal(t, "ENOENT\x00", string(p))
	require.Equal(t, "DIRECTORY_PART", Op(22).String())
	require.Equal(t, "type 20", Op(20).String())
}

func TestLengthLimit(t *testing.T) {
	for _, limit := range []func(Header) int{nil, func(Header) int { return 10000 }} {
		bound := MaxPayload
		if limit != nil {
			bound = limit(Header{})
		}
		for n := bound - 1; n <= bound+1; n++ {
			_, p, err := Next(bytes.NewReader(Message(Read, 1, 0, make([]byte, n))), limit)
			var long *LengthError
			require.Equal(t, n > bound, errors.As(err, &long), "%d bytes", n)
			if n <= bound {
				require.Len(t, p, n)
			}
		}
	}
}

// TestCutShort: a clean end is told from one inside a message.
func TestCutShort(t *testing.T) {
	b := Message(Read, 1, 0, []byte("v"))
	for n := range b {
		_, _, err := Next(bytes.NewReader(b[:n]), nil)
		if n == 0 {
			require.Equal(t, io.EOF, err)
		} else {
			require.Equal(t, io.ErrUnexpectedEOF, err, "%d bytes", n)
		}
	}
}

func TestStrings(t *testing.T) {
	for _, list := range [][]string{nil, {""}, {"a"}, {"a", "", "b"}} {
		got, ok := Strings(Join(list...))
		require.True(t, ok)
		require.Equal(t, list, got)
	}
	_, ok := Strings([]byte("a\x00b"))
	require.False(t, ok)
}
