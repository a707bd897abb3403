package xen

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/lab/internal/agent"
)

// fakeVariable makes this test's binary play QEMU: it names a file of words,
// one for each start.
const fakeVariable = "LAB_TEST_QEMU"

func TestMain(m *testing.M) {
	if plan := os.Getenv(fakeVariable); plan != "" && !strings.HasPrefix(os.Args[1], "-test.") {
		fakeQEMU(plan)
		return
	}
	os.Exit(m.Run())
}

// fakeQEMU takes the first word of the plan: "up" serves the agent's line,
// "dead" ends at once, "messy" is up, and what sweeps it finds a large file.
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
	if word == "dead" {
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
		case word == "messy" && m.Argv[0] == "find" && m.Argv[1] == ScratchDir:
			m.Argv = []string{"echo", "204800 /tmp/tough.save"}
		default:
			m.Argv = []string{"true"} // nothing to clear up here
		}
		server.Handle(m)
	}
}

// session has machines that come up as planned; left is the rest of the plan.
func session(t *testing.T, plan string) (s *Session, left func() string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "plan")
	require.NoError(t, os.WriteFile(file, []byte(plan), 0o600))
	t.Setenv(fakeVariable, file)
	self, err := os.Executable()
	require.NoError(t, err)
	m := &Machine{Name: "fake", QEMU: self, Args: func(string) []string { return []string{"machine"} }}
	s = &Session{Machine: m, Images: t.TempDir(), Logs: t.TempDir(), Log: t.Logf}
	t.Cleanup(s.Stop)
	return s, func() string {
		rest, err := os.ReadFile(file)
		require.NoError(t, err)
		return string(rest)
	}
}

// scenario is one that is well.
func scenario(t *testing.T, s *Session) {
	t.Helper()
	d, err := s.Dom0(t.Context())
	require.NoError(t, err)
	out, err := d.Run(t.Context(), "echo", "hello")
	require.NoError(t, err)
	require.Equal(t, "hello\n", out)
}

func TestSessionBootsOnce(t *testing.T) {
	s, left := session(t, "up rest")
	for range 2 {
		scenario(t, s)
		require.NoError(t, s.Tidy(t.Context(), "A"))
	}
	require.Equal(t, "rest", left())
}

func TestSessionTriesOnceMore(t *testing.T) {
	s, left := session(t, "dead up rest")
	scenario(t, s)
	require.Equal(t, "rest", left())

	s, left = session(t, "dead dead up")
	_, err := s.Dom0(t.Context())
	require.ErrorContains(t, err, "this machine is dead")
	require.Equal(t, "up", left(), "twice is enough")
}

// A machine that dies in a scenario fails that one; the next gets a new one.
func TestSessionMachineDies(t *testing.T) {
	s, left := session(t, "up up rest")
	d, err := s.Dom0(t.Context())
	require.NoError(t, err)
	d.Stop()
	require.Error(t, s.Tidy(t.Context(), "A"))
	scenario(t, s)
	require.Equal(t, "rest", left())
}

// A scenario that leaves a large file fails for it, not those that come after
// it.
func TestSessionFindsLargeFile(t *testing.T) {
	s, left := session(t, "messy rest")
	scenario(t, s)
	require.ErrorContains(t, s.Tidy(t.Context(), "A"), "204800 /tmp/tough.save")
	scenario(t, s)
	require.Equal(t, "rest", left(), "the machine is well")
}
