package xen

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	"github.com/xentropyd/xentropyd/lab/internal/agent"
)

const module = "github.com/xentropyd/xentropyd"

// The packages whose compiled tests run inside, by their path below the module.
const (
	ConformanceTests = "xenstore/xenstoretest/conformance"
	VchanTests       = "vchan/xen"
)

// TestBinary is where a package's compiled tests are in dom0 and in guests.
func TestBinary(pkg string) string { return BinDir + "/" + testName(pkg) }

func testName(pkg string) string { return strings.ReplaceAll(pkg, "/", ".") + ".test" }

// CPeer is the program on Debian's libxenvchan.
const CPeer = BinDir + "/cpeer"

// commands are this tree's programs for dom0 and guests.
var commands = []string{"lab/init", "lab/probe", "lab/hostile", "cmd/xentropyd", "cmd/entropy-guest"}

// compile makes the programs of dom0 and guests: static ones of this tree, the
// tests that run inside, and the C program. It gives their files by the names
// that they get in BinDir.
func compile(ctx context.Context, p *packages, m *Machine, dir string) (map[string]string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the directory of programs: %w", err)
	}
	programs := make(map[string]string)
	file := func(name string) string {
		programs[name] = filepath.Join(dir, name)
		return programs[name]
	}
	build := []string{"-o", dir + "/"}
	for _, pkg := range commands {
		file(path.Base(pkg))
		build = append(build, module+"/"+pkg)
	}
	if err := compileGo(ctx, m.Arch, "build", build...); err != nil {
		return nil, err
	}
	for _, pkg := range []string{ConformanceTests, VchanTests} {
		if err := compileGo(ctx, m.Arch, "test", "-c", "-o", file(testName(pkg)), module+"/"+pkg); err != nil {
			return nil, err
		}
	}
	return programs, p.compileC(ctx, m.CC, file(path.Base(CPeer)))
}

func compileGo(ctx context.Context, arch, verb string, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", append([]string{verb, "-trimpath", "-ldflags=-s -w"}, args...)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w: %s", cmd.Args, err, out)
	}
	return nil
}

// compileC compiles the program on libxenvchan with the headers and the library
// of the fetched packages.
func (p *packages) compileC(ctx context.Context, cc, to string) error {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return fmt.Errorf("find the module (run the lab inside its tree): %w", err)
	}
	source := filepath.Join(strings.TrimSpace(string(root)), "vchan/xen/testdata/cpeer/cpeer.c")
	// -rdynamic: its functions can go before a library's.
	library, err := filepath.Glob(filepath.Join(p.tree, "usr/lib/*/libxenvchan.so."+agent.XenVersion))
	if err != nil || len(library) == 0 {
		return fmt.Errorf("no fetched package has libxenvchan (%v)", err)
	}
	args := []string{
		"-O2", "-Wall", "-Wextra", "-Werror", "-o", to, source,
		"-idirafter", filepath.Join(p.tree, "usr/include"), library[0],
		"-rdynamic", // its functions can go before a library's
		// What the library needs in turn is there when the program runs.
		"-Wl,--allow-shlib-undefined", "-Wl,--unresolved-symbols=ignore-in-shared-libs",
	}
	if out, err := exec.CommandContext(ctx, cc, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("compile %s: %w: %s", source, err, out)
	}
	return nil
}
