//go:build !goexperiment.runtimesecret

package scrub

import (
	"bytes"
	"os"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

const mark = 0xa7

// leave puts a pattern on its stack, almost as deep as Do looks, and says
// where.
//
//go:noinline
func leave() (at uintptr) {
	var b [Depth - 512]byte
	for i := range b {
		b[i] = mark
	}
	keepMark(&b)
	return uintptr(unsafe.Pointer(&b))
}

//go:noinline
func keepMark(*[Depth - 512]byte) {}

func TestDoOverwritesTheStack(t *testing.T) {
	// The process reads its own stack as a file: a read goes less deep than
	// leave.
	mem, err := os.Open("/proc/self/mem")
	require.NoError(t, err)
	defer mem.Close()
	buf := make([]byte, Depth-512)
	left := func(do func(f func())) int {
		var at uintptr
		do(func() { at = leave() })
		_, err := mem.ReadAt(buf, int64(at))
		require.NoError(t, err)
		return bytes.Count(buf, []byte{mark, mark, mark, mark})
	}
	require.NotZero(t, left(func(f func()) { f() }), "the pattern would be seen")
	require.Zero(t, left(Do))
}
