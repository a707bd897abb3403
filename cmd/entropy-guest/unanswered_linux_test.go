package main

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/xentropyd/xentropyd/internal/seccomptest"
)

// TestKernelThatNeverAnswers: in a sandbox whose supervisor hangs, getrandom
// does not return. Without a host there are bytes all the same, and status says
// what it does not know.
func TestKernelThatNeverAnswers(t *testing.T) {
	command := seccomptest.Build(t)
	run := func(args ...string) (stdout, stderr string, err error) {
		c := exec.Command(command, args...)
		var out, problems bytes.Buffer
		c.Stdout, c.Stderr = &out, &problems
		seccomptest.StartSilent(t, c, unix.SYS_GETRANDOM)
		late := time.AfterFunc(time.Minute, func() { _ = c.Process.Signal(unix.SIGQUIT) }) // for its stacks
		defer late.Stop()
		err = c.Wait()
		return out.String(), problems.String(), err
	}
	host := "local:" + t.TempDir() + "/none"
	out, problems, err := run("read", "--host", host, "--wait", "100ms", "--bytes", "32")
	require.NoError(t, err, problems)
	require.NotEmpty(t, strings.TrimSpace(out))

	out, problems, _ = run("status", "--json")
	var s map[string]any
	require.NoError(t, json.Unmarshal([]byte(out), &s), out+problems)
	require.Contains(t, out, "getrandom: no answer")
}
