package report

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRunner(t *testing.T) {
	var out bytes.Buffer
	r := &Runner{Out: &out}
	var order []string
	require.True(t, r.Run(t.Context(), "m/Good", func(t *T) {
		t.Cleanup(func() { order = append(order, "first") })
		t.Cleanup(func() { order = append(order, "second") })
		t.Logf("not shown")
	}))
	require.Equal(t, []string{"second", "first"}, order)
	require.False(t, r.Run(t.Context(), "m/Bad", func(t *T) {
		require.Equal(t, 1, 2)
		order = append(order, "not reached")
	}))
	require.False(t, r.Run(t.Context(), "m/Parts", func(t *T) {
		t.Run("a b", func(t *T) { t.Errorf("wrong") })
		t.Run("c", func(*T) {})
	}))
	require.True(t, r.Run(t.Context(), "m/Skipped", func(t *T) { t.Skipf("why") }))
	require.False(t, r.Run(t.Context(), "m/Panic", func(*T) { panic("ouch") }))
	require.False(t, r.Run(t.Context(), "m/Added", func(t *T) { t.Add(Result{Name: "TestX", Status: Fail}) }))
	require.Len(t, order, 2)

	text := regexp.MustCompile(`\([0-9.]+s\)`).ReplaceAllString(out.String(), "(T)")
	for _, want := range []string{
		"=== RUN   m/Good\n", "    --- PASS: m/Good (T)\n", "    --- FAIL: m/Bad (T)\n", "Not equal",
		"        --- FAIL: m/Parts/a_b (T)\n            wrong\n        --- PASS: m/Parts/c (T)\n    --- FAIL: m/Parts (T)\n",
		"    --- SKIP: m/Skipped (T)\n        why\n", "panic: ouch", "        --- FAIL: m/Added/TestX (T)\n    --- FAIL: m/Added (T)\n",
	} {
		if want == "=== RUN   m/Good\n" || !strings.HasPrefix(want, "        ---") {
			require.Contains(t, text, want)
			continue
		}
		// The parts announce themselves in between.
		require.Contains(t, regexp.MustCompile(`(?m)^=== RUN.*\n`).ReplaceAllString(text, ""), want)
	}
	require.NotContains(t, text, "not shown")
	require.Len(t, r.Results(), 9)
}

// TestGoTest reads what a real test binary prints.
func TestGoTest(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles a test: run without -short")
	}
	dir := t.TempDir()
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	write("go.mod", "module inner\n\ngo 1.26\n")
	write("x_test.go", `package inner

import ("fmt"; "testing")

func TestA(t *testing.T) {
	fmt.Print("no line feed")
	t.Run("good", func(t *testing.T) {})
	t.Run("bad", func(t *testing.T) { t.Log("the reason") ; t.Fail() })
	t.Run("skipped", func(t *testing.T) { t.Skip("no luck") })
}

func TestCrash(t *testing.T) { go func() { panic("ouch") }(); select {} }
`)
	compile := exec.Command("go", "test", "-c", "-o", "x.test")
	compile.Dir = dir
	out, err := compile.CombinedOutput()
	require.NoError(t, err, "%s", out)

	got := make(map[string]Result)
	g := GoTest{Result: func(r Result) { got[r.Name] = r }}
	out, err = exec.Command(filepath.Join(dir, "x.test"), "-test.v=test2json").CombinedOutput()
	require.Error(t, err)
	for _, b := range out { // in the smallest pieces
		n, err := g.Write([]byte{b})
		require.NoError(t, err)
		require.Equal(t, 1, n)
	}
	require.Len(t, got, 4)
	require.Equal(t, Fail, got["TestA"].Status)
	require.Equal(t, Pass, got["TestA/good"].Status)
	require.Equal(t, Fail, got["TestA/bad"].Status)
	require.Contains(t, got["TestA/bad"].Output, "the reason")
	require.Equal(t, Skip, got["TestA/skipped"].Status)
	require.Contains(t, got["TestA/skipped"].Output, "no luck")
	require.Equal(t, 2, g.Count(Fail))
	require.Equal(t, 1, g.Count(Pass))
	require.Contains(t, g.Rest(), "panic: ouch")
}
