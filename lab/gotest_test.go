//go:build lab && linux

package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/lab/internal/agent"
	"github.com/xentropyd/xentropyd/lab/internal/xen"
)

// goTestLimit bounds the tests of a package that run inside.
const goTestLimit = 10 * time.Minute

// goTest runs a package's compiled tests in a place, those that match a
// pattern. Each of them is a subtest of t, by its own name and with its own
// output. Without any test that passed, t fails.
func goTest(t *testing.T, p xen.Place, pkg, pattern string, env ...string) {
	ctx, cancel := context.WithTimeout(t.Context(), goTestLimit+time.Minute) // the test's own limit says more
	defer cancel()
	r, err := p.Exec(ctx, agent.Command{
		Argv: []string{
			xen.TestBinary(pkg), "-test.v=test2json", "-test.timeout=" + goTestLimit.String(), "-test.run=" + pattern,
		},
		Env: env, Dir: "/tmp",
	})
	require.NoError(t, err)
	if r.Lost > 0 {
		t.Logf("%d pieces of output got lost on the way, results may be missing", r.Lost)
	}
	passed := results(t, r.Output)
	if r.Code != 0 && !t.Failed() || passed == 0 {
		t.Fatalf("tests of %s ended with status %d, %d passed:\n%s", pkg, r.Code, passed, r.Output)
	}
}

// results makes a subtest of each result in the output of a test binary.
func results(t *testing.T, output []byte) (passed int) {
	cmd := exec.CommandContext(t.Context(), "go", "tool", "test2json")
	cmd.Stdin = bytes.NewReader(output)
	events, err := cmd.Output()
	require.NoError(t, err)
	said := make(map[string]string)
	for in := json.NewDecoder(bytes.NewReader(events)); in.More(); {
		var e struct { // see go doc cmd/test2json
			Action, Test, Output string
			Elapsed              float64
		}
		require.NoError(t, in.Decode(&e))
		// Its own lines would be taken for ours.
		if frame := strings.TrimSpace(e.Output); !strings.HasPrefix(frame, "=== ") &&
			!strings.HasPrefix(frame, "--- ") {
			said[e.Test] += e.Output
		}
		if e.Test == "" || e.Action != "pass" && e.Action != "fail" && e.Action != "skip" {
			continue
		}
		t.Run(e.Test, func(t *testing.T) {
			t.Logf("%.2fs inside\n%s", e.Elapsed, strings.TrimRight(said[e.Test], "\n"))
			switch e.Action {
			case "skip":
				t.SkipNow()
			case "fail":
				t.FailNow()
			}
		})
		if e.Action == "pass" {
			passed++
		}
	}
	return passed
}
