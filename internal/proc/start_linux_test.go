package proc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A process's start is field 22 of its state, counted as proc_pid_stat(5) does;
// the name may try to confuse.
func TestParseStart(t *testing.T) {
	var b strings.Builder
	b.WriteString("1 (a) S 7 (x))")
	for field := 3; field <= 52; field++ {
		fmt.Fprintf(&b, " %d", field)
	}
	start, err := parseStart(b.String() + "\n")
	require.NoError(t, err)
	require.EqualValues(t, 22, start)
	for _, bad := range []string{"", "1 (x)", "1 (x) S 4 5", strings.Replace(b.String(), " 22", " -22", 1)} {
		_, err := parseStart(bad)
		require.Error(t, err, bad)
	}
}

func TestStart(t *testing.T) {
	mine, err := Start(os.Getpid())
	require.NoError(t, err)
	parents, err := Start(1)
	require.NoError(t, err)
	require.Less(t, parents, mine)
	_, err = Start(1 << 30)
	require.True(t, errors.Is(err, fs.ErrNotExist), "%v", err)

	whole, err := os.ReadFile("/proc/self/stat")
	require.NoError(t, err)
	want, err := parseStart(string(whole))
	require.NoError(t, err)
	require.Equal(t, want, mine, "the first thread began with the process")
}
