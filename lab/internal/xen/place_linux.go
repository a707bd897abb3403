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

// Exec runs a command and waits for its end; a bad exit status is in the
// result.
func (p Place) Exec(ctx context.Context, c agent.Command) (*agent.Result, error) {
	return p.dom0.client.Exec(ctx, p.name, c)
}

// Do runs a command that must end well, and gives what it printed. Of one that
// is quiet an error does not say what it printed.
func (p Place) Do(ctx context.Context, c agent.Command) (string, error) {
	r, err := p.Exec(ctx, c)
	switch {
	case err != nil:
		return "", err
	case r.Code != 0 && c.Quiet:
		return "", fmt.Errorf("%s in %s: exit status %d", strings.Join(c.Argv, " "), p, r.Code)
	case r.Code != 0:
		return "", fmt.Errorf("%s in %s: exit status %d: %s", strings.Join(c.Argv, " "), p, r.Code, r.Output)
	case r.Lost > 0:
		return "", fmt.Errorf("%s in %s: %d pieces of its output got lost", strings.Join(c.Argv, " "), p, r.Lost)
	}
	return string(r.Output), nil
}

// Run is Do for a command's words.
func (p Place) Run(ctx context.Context, argv ...string) (string, error) {
	return p.Do(ctx, agent.Command{Argv: argv})
}

// Shell is Do for a script of busybox's shell.
func (p Place) Shell(ctx context.Context, script string) (string, error) {
	return p.Run(ctx, "/bin/sh", "-c", script)
}

// Put writes a file of at most agent.MaxInput bytes.
func (p Place) Put(ctx context.Context, path, content string) error {
	_, err := p.Do(ctx, agent.Command{
		Argv: []string{"/bin/sh", "-c", `mkdir -p "${0%/*}" && cat > "$0"`, path}, Stdin: []byte(content),
	})
	return err
}

// ScratchDir is where scenarios write what is large, in dom0. It is memory, and
// there is little of it.
const ScratchDir = "/tmp"

// Scratch gives the path of a file that is about to be written in ScratchDir.
// Where it has no room the error says what takes the room.
func (d *Dom0) Scratch(ctx context.Context, name string, bytes int64) (path string, err error) {
	path = ScratchDir + "/" + name
	// df -P: a line of titles, and one whose fourth field is what is free.
	out, err := d.Shell(ctx, "df -kP "+ScratchDir+" | awk 'NR==2 {print $4}'; ls -lA "+ScratchDir)
	if err != nil {
		return "", err
	}
	return path, roomFor(path, bytes, out)
}

// roomFor is an error if a file has no room; out is how many KiB are free, and
// a list of what is there.
func roomFor(path string, bytes int64, out string) error {
	var free int64
	if _, err := fmt.Sscan(out, &free); err != nil {
		return fmt.Errorf("ask what is free in %s: %w: %q", ScratchDir, err, out)
	}
	if free <<= 10; free < bytes {
		_, list, _ := strings.Cut(out, "\n")
		return fmt.Errorf("dom0's %s is full: %d MiB are free, %s may take %d; there are:\n%s",
			ScratchDir, free>>20, path, bytes>>20, list)
	}
	return nil
}

// Sweep removes what is left in dom0's ScratchDir and gives a list of what of
// it is large, a MiB or more; "" if nothing was.
func (d *Dom0) Sweep(ctx context.Context) (large string, err error) {
	return d.Run(ctx, "find", ScratchDir, "-mindepth", "1", "-maxdepth", "1", "-exec", "/bin/sh", "-c",
		`[ $(du -sk "$0" | cut -f 1) -lt 1024 ] || du -sk "$0"; rm -rf "$0"`, "{}", ";")
}
