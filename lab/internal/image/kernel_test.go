package image

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// bzImage makes a kernel with a payload, as boot.rst has it.
func bzImage(payload []byte) []byte {
	const sects = 3
	b := make([]byte, (sects+1)*512+100)
	b[setupSects] = sects
	copy(b[setupMagic:], "HdrS")
	binary.LittleEndian.PutUint32(b[payloadOffset:], 100)
	binary.LittleEndian.PutUint32(b[payloadLength:], uint32(len(payload)))
	return append(append(b, payload...), "what follows"...)
}

func unpacked(t *testing.T, content []byte) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "vmlinuz")
	require.NoError(t, os.WriteFile(file, content, 0o600))
	b, err := Kernel(t.Context(), file)
	require.NoError(t, err)
	return b
}

func TestKernel(t *testing.T) {
	elf := []byte("\x7fELF and so on")
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write(elf)
	require.NoError(t, z.Close())
	require.Equal(t, elf, unpacked(t, bzImage(zipped.Bytes())))
	require.Equal(t, elf, unpacked(t, zipped.Bytes()), "as Xen is packed")

	if _, err := exec.LookPath("xz"); err == nil {
		cmd := exec.Command("xz", "--stdout")
		cmd.Stdin = bytes.NewReader(elf)
		xz, err := cmd.Output()
		require.NoError(t, err)
		require.Equal(t, elf, unpacked(t, bzImage(append(xz, "\x0e\x00\x00\x00"...))), "with the size behind it")
	}
}

func TestKernelStays(t *testing.T) {
	for name, b := range map[string][]byte{
		"other":           []byte("an arm64 Image, for instance"),
		"empty":           nil,
		"unknown packing": bzImage([]byte("zzzz")),
		"short":           bzImage(nil)[:setupEnd-1],
		"outside":         func() []byte { b := bzImage(nil); binary.LittleEndian.PutUint32(b[payloadLength:], 1<<31); return b }(),
	} {
		t.Run(name, func(t *testing.T) {
			require.True(t, bytes.Equal(b, unpacked(t, b)))
		})
	}
}

func TestKernelBroken(t *testing.T) {
	file := filepath.Join(t.TempDir(), "vmlinuz")
	require.NoError(t, os.WriteFile(file, bzImage([]byte("\x1f\x8b but no gzip")), 0o600))
	_, err := Kernel(t.Context(), file)
	require.ErrorContains(t, err, "unpack the kernel")
}
