package doctest

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	testName     = regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark)[A-Z]\w+`)
	testFunction = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)[A-Z]\w+)\(`)
)

// TestNamesOfTests: each test, or other function with such a name, that a
// document names is there, so that a claim does not outlive what holds it.
func TestNamesOfTests(t *testing.T) {
	there := make(map[string]bool)
	err := filepath.WalkDir(top, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && path != top && strings.HasPrefix(e.Name(), "."):
			return fs.SkipDir
		case !strings.HasSuffix(path, ".go"):
			return nil
		}
		b, err := os.ReadFile(path)
		for _, m := range testFunction.FindAllSubmatch(b, -1) {
			there[string(m[1])] = true
		}
		return err
	})
	require.NoError(t, err)
	documents, err := filepath.Glob(filepath.Join(top, "*.md"))
	require.NoError(t, err)
	for _, dir := range []string{"docs", "docs/xen", "lab", "packaging", "bench"} {
		more, err := filepath.Glob(filepath.Join(top, dir, "*.md"))
		require.NoError(t, err)
		documents = append(documents, more...)
	}
	named := 0
	for _, path := range documents {
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		for _, name := range testName.FindAllString(string(b), -1) {
			named++
			assert.True(t, there[name], "%s names %s, which there is not", filepath.Base(path), name)
		}
	}
	require.Greater(t, named, 10)
}
