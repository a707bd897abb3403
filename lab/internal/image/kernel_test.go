package image

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func unpacked(t *testing.T, content []byte) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "vmlinuz")
	require.NoError(t, os.WriteFile(file, content, 0o600))
	b, err := Kernel(t.Context(), file)
	require.NoError(t, err)
	return b
}

// inKernel puts a payload between other things, one of which begins like it.
func inKernel(payload []byte) []byte {
	return fmt.Appendf(nil, "MZ, setup code%smore%s\x0e\x00\x00\x00", payload[:6], payload)
}

func TestKernel(t *testing.T) {
	elf := []byte("\x7fELF and so on")
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write(elf)
	require.NoError(t, z.Close())
	require.Equal(t, elf, unpacked(t, inKernel(zipped.Bytes())))
	require.Equal(t, elf, unpacked(t, zipped.Bytes()), "as Xen is packed")

	if _, err := exec.LookPath("xz"); err != nil {
		t.Skip("no xz here: apt-get install xz-utils")
	}
	cmd := exec.Command("xz", "--stdout")
	cmd.Stdin = bytes.NewReader(elf)
	xz, err := cmd.Output()
	require.NoError(t, err)
	require.Equal(t, elf, unpacked(t, inKernel(xz)))
}

func TestKernelStays(t *testing.T) {
	for _, s := range []string{"an arm64 Image", "", "MZ\x1f\x8b\x08 but no gzip", "MZ\xfd7zXZ\x00 but no xz"} {
		require.Equal(t, s, string(unpacked(t, []byte(s))))
	}
}
