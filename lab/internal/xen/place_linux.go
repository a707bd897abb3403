package xen

import (
	"context"
	"fmt"
	"strings"

	"github.com/xentropyd/xentropyd/lab/internal/agent"
)

// Place is where commands run: dom0, or a guest whose init is the lab's.
type Place struct {
	dom0 *Dom0
	name string
}

// Guest is the place of a guest by its name; it need not be there yet.
func (d *Dom0) Guest(name string) Place { return Place{d, name} }

// String is the place's name.
func (p Place) String() string {
	if p.name == "" {
		return "dom0"
	}
	return p.name
}

// Exec runs a command and waits for its end; a bad exit status is in the result.
func (p Place) Exec(ctx context.Context, c agent.Command) (*agent.Result, error) {
	return p.dom0.client.Exec(ctx, p.name, c)
}

// Run runs a command that must end well, and gives what it printed.
func (p Place) Run(ctx context.Context, argv ...string) (string, error) {
	return p.run(ctx, agent.Command{Argv: argv})
}

// Shell runs a script of busybox's shell that must end well.
func (p Place) Shell(ctx context.Context, script string) (string, error) {
	return p.Run(ctx, "/bin/sh", "-c", script)
}

// Put writes a file of at most agent.MaxInput bytes.
func (p Place) Put(ctx context.Context, path, content string) error {
	_, err := p.run(ctx, agent.Command{Argv: []string{"/bin/sh", "-c", `mkdir -p "${0%/*}" && cat > "$0"`, path}, Stdin: []byte(content)})
	return err
}

func (p Place) run(ctx context.Context, c agent.Command) (string, error) {
	r, err := p.Exec(ctx, c)
	if err != nil {
		return "", err
	}
	if r.Code != 0 {
		return "", fmt.Errorf("%s in %s: exit status %d: %s", strings.Join(c.Argv, " "), p, r.Code, r.Output)
	}
	if r.Lost > 0 {
		return "", fmt.Errorf("%s in %s: %d pieces of its output got lost on the console", strings.Join(c.Argv, " "), p, r.Lost)
	}
	return string(r.Output), nil
}

// ScratchDir is where scenarios write what is large, in dom0. It is memory, and there is little of it.
const ScratchDir = "/tmp"

// Sweep removes what is left in dom0's ScratchDir and gives a list of what of it is large, a MiB or more; "" if nothing was.
func (d *Dom0) Sweep(ctx context.Context) (large string, err error) {
	return d.Run(ctx, "find", ScratchDir, "-mindepth", "1", "-maxdepth", "1", "-exec", "/bin/sh", "-c",
		`[ $(du -sk "$0" | cut -f 1) -lt 1024 ] || du -sk "$0"; rm -rf "$0"`, "{}", ";")
}
