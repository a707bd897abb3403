package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/xentropyd/xentropyd/internal/cli"
)

// daemonPackage is what is built where no xentropyd is there.
const daemonPackage = "github.com/xentropyd/xentropyd/cmd/xentropyd"

// findDaemon gives the path of the daemon's program: the one that was named,
// the one beside this program, or one that is built and that remove takes away.
func findDaemon(ctx context.Context, named string, stderr io.Writer) (path string, remove func(), err error) {
	nothing := func() {}
	if named != "" {
		path, err = exec.LookPath(named)
		if err != nil {
			return "", nothing, cli.Usage(fmt.Errorf("flag --daemon: %w", err))
		}
		return path, nothing, nil
	}
	if self, err := os.Executable(); err == nil {
		if path, err = exec.LookPath(filepath.Join(filepath.Dir(self), "xentropyd")); err == nil {
			return path, nothing, nil
		}
	}
	dir, err := os.MkdirTemp("", "xentropyd-demo-build-")
	if err != nil {
		return "", nothing, fmt.Errorf("make a directory for the daemon's program: %w", err)
	}
	remove = func() { _ = os.RemoveAll(dir) }
	path = filepath.Join(dir, "xentropyd")
	fmt.Fprintln(stderr, "demo: building xentropyd")
	said, err := exec.CommandContext(ctx, "go", "build", "-o", path, daemonPackage).CombinedOutput()
	if err != nil {
		remove()
		err = fmt.Errorf("build xentropyd, which is not beside this program: %w", err)
		if last := strings.TrimSpace(string(said)); last != "" {
			err = fmt.Errorf("%w: %s", err, last[strings.LastIndexByte(last, '\n')+1:])
		}
		return "", nothing, cli.WithHint(err,
			"run it in a clone of the repository, where Go is installed, or name a xentropyd with --daemon")
	}
	return path, remove, nil
}
