package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/lab/internal/agent"
	"github.com/xentropyd/xentropyd/lab/internal/report"
	"github.com/xentropyd/xentropyd/lab/internal/xen"
	"github.com/xentropyd/xentropyd/lab/scenario"
)

// fakeVariable makes this test's binary play QEMU: it names a file of words, one for each start.
const fakeVariable = "LAB_TEST_QEMU"

func TestMain(m *testing.M) {
	if plan := os.Getenv(fakeVariable); plan != "" && !strings.HasPrefix(os.Args[1], "-test.") {
		fakeQEMU(plan)
		return
	}
	os.Exit(m.Run())
}

// fakeQEMU takes the first word of the plan: "up" serves the agent's line, "dead" ends at once, "messy" is up, and what sweeps it finds a large file.
func fakeQEMU(plan string) {
	b, err := os.ReadFile(plan)
	if err != nil {
		panic(err)
	}
	word, rest, _ := strings.Cut(string(b), " ")
	if err := os.WriteFile(plan, []byte(rest), 0o600); err != nil {
		panic(err)
	}
	fmt.Printf("this machine is %s\n", word)
	if word != "up" && word != "messy" {
		return
	}
	line := os.NewFile(3, "line")
	server := agent.NewServer(agent.NewWriter(line), nil)
	for in := agent.NewReader(line); ; {
		m, err := in.Read()
		if err != nil {
			return
		}
		switch {
		case m.Op != agent.OpExec || m.Argv[0] == "echo":
		case word == "messy" && m.Argv[0] == "find" && m.Argv[1] == xen.ScratchDir:
			m.Argv = []string{"echo", "204800 /tmp/tough.save"}
		default:
			m.Argv = []string{"true"} // nothing to clear up here
		}
		server.Handle(m)
	}
}

// try runs scenarios on machines that come up as planned.
func try(t *testing.T, plan string, scenarios ...scenario.Scenario) (out string, results []report.Result, left string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "plan")
	require.NoError(t, os.WriteFile(file, []byte(plan), 0o600))
	t.Setenv(fakeVariable, file)
	self, err := os.Executable()
	require.NoError(t, err)
	m := &xen.Machine{Name: "fake", Arch: "none", QEMU: self, Args: func(string) []string { return []string{"machine"} }}
	var b bytes.Buffer
	s := session{machine: m, images: &xen.Images{Dir: t.TempDir()}, logs: t.TempDir(), runner: &report.Runner{Out: &b}}
	for _, sc := range scenarios {
		s.scenario(t.Context(), sc)
	}
	s.stop()
	rest, err := os.ReadFile(file)
	require.NoError(t, err)
	return b.String(), s.runner.Results(), string(rest)
}

func echo(t *report.T, d *xen.Dom0) {
	out, err := d.Run(t.Context(), "echo", "hello")
	require.NoError(t, err)
	require.Equal(t, "hello\n", out)
}

func TestBootOnce(t *testing.T) {
	_, results, left := try(t, "up rest", scenario.Scenario{Name: "A", Run: echo}, scenario.Scenario{Name: "B", Run: echo})
	require.Len(t, results, 2)
	require.Equal(t, report.Pass, results[0].Status)
	require.Equal(t, report.Pass, results[1].Status)
	require.Equal(t, "rest", left, "one boot serves both")
}

func TestBootTriedOnceMore(t *testing.T) {
	_, results, left := try(t, "dead up rest", scenario.Scenario{Name: "A", Run: echo})
	require.Equal(t, report.Pass, results[0].Status)
	require.Equal(t, "rest", left)

	out, results, left := try(t, "dead dead up", scenario.Scenario{Name: "A", Run: echo})
	require.Equal(t, report.Fail, results[0].Status)
	require.Equal(t, "up", left, "twice is enough")
	require.Contains(t, out, "this machine is dead")
}

func TestFailureIsNotTriedAgain(t *testing.T) {
	runs := 0
	bad := func(t *report.T, _ *xen.Dom0) { runs++; t.Fatalf("wrong") }
	_, results, left := try(t, "up rest", scenario.Scenario{Name: "A", Run: bad}, scenario.Scenario{Name: "B", Run: echo})
	require.Equal(t, report.Fail, results[0].Status)
	require.Equal(t, report.Pass, results[1].Status)
	require.Equal(t, 1, runs)
	require.Equal(t, "rest", left, "the machine is well")
}

// A machine that dies in a scenario fails that one; the next gets a new one.
func TestMachineDies(t *testing.T) {
	die := func(t *report.T, d *xen.Dom0) { d.Stop() }
	_, results, left := try(t, "up up rest", scenario.Scenario{Name: "A", Run: die}, scenario.Scenario{Name: "B", Run: echo})
	require.Equal(t, report.Fail, results[0].Status)
	require.Equal(t, report.Pass, results[1].Status)
	require.Equal(t, "rest", left)
}

// A scenario that leaves a large file fails for it, not those that come after it.
func TestScenarioLeavesFile(t *testing.T) {
	out, results, left := try(t, "messy rest", scenario.Scenario{Name: "A", Run: echo})
	require.Equal(t, report.Fail, results[0].Status)
	require.Contains(t, out, "204800 /tmp/tough.save")
	require.Equal(t, "rest", left, "the machine is well")
}
