package image

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestLibraries takes the test machine's own shell, where it is an ELF program
// with libraries.
func TestLibraries(t *testing.T) {
	const program = "/bin/sh"
	paths, err := dynamic(program)
	if err != nil || len(paths) < 2 {
		t.Skipf("%s is no dynamic ELF program here: apt-get install dash", program)
	}
	linker := paths[0]
	dir := t.TempDir()
	at := filepath.Join(dir, "usr/lib/somewhere")
	require.NoError(t, os.MkdirAll(at, 0o755))

	require.ErrorContains(t, New().Libraries(dir, nil, program), linker, "nothing is there yet")

	// Each is its own library: enough, as only names are followed.
	for _, p := range paths {
		b, err := os.ReadFile(filepath.Join(filepath.Dir(linker), filepath.Base(p)))
		if err != nil {
			b, err = os.ReadFile(linker)
		}
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(at, filepath.Base(p)), b, 0o755))
	}
	im := New()
	require.NoError(t, im.Libraries(dir, nil, program, program))
	for _, p := range paths {
		require.Contains(t, im.records, p[1:])
	}
	require.ErrorContains(t, im.Libraries(dir, []string{"libnone.so.1"}, program), "libnone.so.1")
}
