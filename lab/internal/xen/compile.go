package xen

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"

	"github.com/xentropyd/xentropyd/lab/internal/debian"
)

// CPeer is the name in BinDir of the program on Debian's libxenvchan.
const CPeer = "cpeer"

// CompileC compiles a C program of this module for a machine, with the headers and libraries of its packages.
func CompileC(ctx context.Context, cache *debian.Cache, m *Machine, source, to string, sonames ...string) error {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return fmt.Errorf("find the module: run the lab inside its tree: %w", err)
	}
	source = filepath.Join(string(root[:max(0, len(root)-1)]), source)
	p, err := findPackages(cache, m)
	if err != nil {
		return err
	}
	args := []string{"-O2", "-Wall", "-Wextra", "-Werror", "-rdynamic", "-o", to, source} // -rdynamic: its functions can go before a library's
	for _, d := range p.dirs {
		args = append(args, "-idirafter", filepath.Join(d, "usr/include"))
	}
	for _, name := range sonames {
		for _, d := range p.dirs {
			found, _ := filepath.Glob(filepath.Join(d, "usr/lib/*", name))
			args = append(args, found...)
		}
	}
	// What the libraries need in turn is there when the program runs.
	args = append(args, "-Wl,--allow-shlib-undefined", "-Wl,--unresolved-symbols=ignore-in-shared-libs")
	if out, err := exec.CommandContext(ctx, m.CC, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("compile %s: %w: %s", source, err, out)
	}
	return nil
}
