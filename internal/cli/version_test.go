package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestVersionOfTheLinker builds a command with the flags that the Makefile
// gives. The linker says nothing of a variable that is not there.
func TestVersionOfTheLinker(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a program; run without -short")
	}
	text, err := os.ReadFile("../../Makefile")
	require.NoError(t, err)
	found := regexp.MustCompile(`-ldflags "(.*?)"`).FindStringSubmatch(string(text))
	require.NotNil(t, found, "the Makefile gives the linker no flags")
	require.Contains(t, found[1], "$(VERSION)")
	flags := strings.ReplaceAll(found[1], "$(VERSION)", "v1.2.3-test")
	program := filepath.Join(t.TempDir(), "entropy-guest")
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	build := exec.Command("go", "build", "-buildvcs=false", "-ldflags", flags, "-o", program, "../../cmd/entropy-guest")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	out, err = exec.Command(program, "version").CombinedOutput()
	require.NoError(t, err, string(out))
	assert.Regexp(t, `^entropy-guest v1\.2\.3-test \(go`, string(out))
}
