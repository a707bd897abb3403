package doctest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const module = "github.com/xentropyd/xentropyd"

// top is the repository's root, seen from here.
const top = "../.."

// pkg is what a package imports, without its tests.
type pkg struct {
	imports map[string]bool // directly
	deps    map[string]bool // all that it stands on
}

// packages asks the go command, for systems that stand for all: files for other
// ones import too.
func packages(t *testing.T) map[string]*pkg {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skipf("list packages: %v: put the go command on the PATH", err)
	}
	all := make(map[string]*pkg)
	for _, system := range []string{"linux", "windows"} {
		cmd := exec.Command("go", "list", "-json=ImportPath,Imports,Deps", "./...")
		cmd.Dir = top
		cmd.Env = append(os.Environ(), "GOOS="+system, "GOARCH=amd64", "CGO_ENABLED=0", "GOFLAGS=")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		require.NoError(t, err, stderr.String())
		for d := json.NewDecoder(bytes.NewReader(out)); ; {
			var p struct {
				ImportPath    string
				Imports, Deps []string
			}
			err := d.Decode(&p)
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
			name := short(p.ImportPath)
			if all[name] == nil {
				all[name] = &pkg{make(map[string]bool), make(map[string]bool)}
			}
			for _, i := range p.Imports {
				all[name].imports[short(i)] = true
			}
			for _, i := range p.Deps {
				all[name].deps[short(i)] = true
			}
		}
	}
	require.Greater(t, len(all), 20)
	return all
}

// short is the path of a package of this module from its root.
func short(path string) string { return strings.TrimPrefix(path, module+"/") }

// row is one line of the table in docs/architecture.md.
type row struct{ folders, imports []string }

var code = regexp.MustCompile("`([^`]+)`")

func quoted(text string) (words []string) {
	for _, m := range code.FindAllStringSubmatch(text, -1) {
		words = append(words, m[1])
	}
	return words
}

func table(t *testing.T) (rows []row) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(top, "docs", "architecture.md"))
	require.NoError(t, err)
	_, text, found := strings.Cut(string(b), "| folder | job | imports |\n|---|---|---|\n")
	require.True(t, found, "the table of packages has another head")
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "|") {
			break
		}
		cells := strings.Split(line, "|")
		require.Len(t, cells, 5, line)
		rows = append(rows, row{quoted(cells[1]), quoted(cells[3])})
	}
	return rows
}

// means says whether a word of the table stands for an import: a package of
// ours by its folder, another's by a part of its path, such as x/sys.
func means(all map[string]*pkg, word, path string) bool {
	if all[word] != nil {
		return word == path
	}
	first, _, _ := strings.Cut(path, "/")
	return strings.Contains(first, ".") && all[path] == nil && strings.Contains("/"+path+"/", "/"+word+"/")
}

// standard says whether a package is the standard library's.
func standard(all map[string]*pkg, path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return all[path] == nil && !strings.Contains(first, ".")
}

// apart are trees that measure and try the rest; they may import all of it.
func apart(name string) bool { return within(name, "lab") || within(name, "bench") }

func within(name, tree string) bool { return name == tree || strings.HasPrefix(name, tree+"/") }

// TestImports holds the table: each package is in it once, imports what its row
// says and nothing else, and no row says too much.
func TestImports(t *testing.T) {
	all, seen := packages(t), make(map[string]bool)
	for _, r := range table(t) {
		used := make(map[string]bool)
		for _, folder := range r.folders {
			assert.False(t, seen[folder], "%s is in the table twice", folder)
			seen[folder] = true
			p := all[folder]
			if p == nil {
				assert.Fail(t, "no such package", "%s is in the table", folder)
				continue
			}
			for path := range p.imports {
				if standard(all, path) {
					continue
				}
				known := false
				for _, word := range r.imports {
					if means(all, word, path) {
						used[word], known = true, true
					}
				}
				assert.True(t, known, "%s imports %s: docs/architecture.md does not say so", folder, path)
			}
		}
		for _, word := range r.imports {
			assert.True(t, used[word], "%v import no %s: docs/architecture.md says so", r.folders, word)
		}
	}
	for name := range all {
		assert.True(t, seen[name] || apart(name), "%s is not in the table of docs/architecture.md", name)
	}
}

// TestSides: the rules that no table may change.
func TestSides(t *testing.T) {
	core := map[string]bool{"guest": true, "host": true, "protocol": true, "transport": true}
	for name, p := range packages(t) {
		for dep := range p.deps {
			bad := within(name, "host") && within(dep, "guest") ||
				within(name, "guest") && within(dep, "host") ||
				!within(name, "cmd") && !apart(name) && within(dep, "cmd") ||
				!apart(name) && apart(dep)
			bad = bad || core[name] && (strings.HasPrefix(dep, "transport/") ||
				within(dep, "vchan") || within(dep, "xenstore"))
			assert.False(t, bad, "%s stands on %s", name, dep)
		}
		if name != "fortuna" && name != "protocol" && name != "vchan/ring" {
			continue
		}
		for i := range p.imports {
			assert.False(t, within(i, "os") || within(i, "net") || i == "syscall", "%s imports %s", name, i)
		}
	}
}
