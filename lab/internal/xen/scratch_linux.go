package xen

import (
	"context"
	"fmt"
	"strings"
)

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

// Sweep removes what is left in dom0's ScratchDir and gives a list of what of it
// is large, a MiB or more; "" if nothing was.
func (d *Dom0) Sweep(ctx context.Context) (large string, err error) {
	return d.Run(ctx, "find", ScratchDir, "-mindepth", "1", "-maxdepth", "1", "-exec", "/bin/sh", "-c",
		`[ $(du -sk "$0" | cut -f 1) -lt 1024 ] || du -sk "$0"; rm -rf "$0"`, "{}", ";")
}
