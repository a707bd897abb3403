package cli

import (
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestHarden looks at a process of its own, for the sake of the other tests.
func TestHarden(t *testing.T) {
	if os.Getenv("CLI_TEST_HARDEN") == "" {
		c := exec.Command(os.Args[0], "-test.run=^TestHarden$")
		c.Env = append(os.Environ(), "CLI_TEST_HARDEN=1")
		out, err := c.CombinedOutput()
		require.NoError(t, err, string(out))
		return
	}
	require.NoError(t, Harden())
	dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	require.NoError(t, err)
	require.Zero(t, dumpable)
	var limit unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_CORE, &limit))
	require.Zero(t, limit)
}
