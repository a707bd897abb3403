package image

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestLibraries takes the test machine's own shell, where it is an ELF program with libraries.
func TestLibraries(t *testing.T) {
	const program = "/bin/sh"
	needed, linker, err := dynamic(program)
	if err != nil || len(needed) == 0 {
		t.Skipf("%s is no dynamic ELF program here: apt-get install dash", program)
	}
	dir := t.TempDir()
	at := filepath.Join(dir, "usr/lib/somewhere")
	require.NoError(t, os.MkdirAll(at, 0o755))

	_, err = Libraries([]string{dir}, nil, program)
	require.ErrorContains(t, err, filepath.Base(linker), "nothing is there yet")

	// Each is its own library: enough, as only names are followed.
	for _, name := range append(needed, filepath.Base(linker)) {
		b, err := os.ReadFile(filepath.Join(filepath.Dir(linker), name))
		if err != nil {
			b, err = os.ReadFile(linker)
		}
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(at, name), b, 0o755))
	}
	list, err := Libraries([]string{dir}, nil, program, program)
	require.NoError(t, err)
	names := make(map[string]string)
	for _, l := range list {
		require.NotContains(t, names, l.Name, "once each")
		names[l.Name] = l.From
	}
	require.Equal(t, filepath.Join(at, needed[0]), names["lib/"+needed[0]])
	require.Contains(t, names, linker[1:])

	_, err = Libraries([]string{dir}, []string{"libnone.so.1"}, program)
	require.ErrorContains(t, err, "libnone.so.1")
}
