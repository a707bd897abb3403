package earlyboot

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// mountPoint is what a bare system needs.
type mountPoint struct {
	target, fs string
	probe      string // is there when something is mounted there already; "" to ask /proc/self/mountinfo
	optional   bool   // not every kernel has it
}

// mountPoints in this order: what comes later asks in /proc.
var mountPoints = []mountPoint{
	{target: "/proc", fs: "proc", probe: "/proc/self"},
	{target: "/sys", fs: "sysfs", probe: "/sys/kernel"},
	{target: "/dev", fs: "devtmpfs"},
	{target: "/proc/xen", fs: "xenfs", optional: true}, // the directory is there in a Xen domain
}

// Mounts are those that Mount made.
type Mounts struct {
	m       *mounter
	targets []string
}

// mounter is how the package sees and changes a machine; root is for tests.
type mounter struct {
	root    string
	mount   func(target, fs string) error
	unmount func(target string) error
}

// Mount mounts proc, sysfs, devtmpfs and, in a Xen domain whose kernel has it,
// xenfs, each where it is missing. What could not be mounted is in the error;
// the rest is mounted all the same.
func Mount() (*Mounts, error) { return thisMachine.mountAll() }

func (m *mounter) mountAll() (*Mounts, error) {
	done := &Mounts{m: m}
	var all error
	for _, p := range mountPoints {
		target := m.root + p.target
		if p.optional {
			if _, err := os.Stat(target); err != nil {
				continue
			}
		}
		if m.mounted(p) {
			continue
		}
		err := os.MkdirAll(target, 0o755)
		if err == nil {
			err = m.mount(target, p.fs)
		}
		switch {
		case err == nil:
			done.targets = append(done.targets, target)
		case !p.optional:
			all = errors.Join(all, fmt.Errorf("mount %s on %s: %w", p.fs, target, err))
		}
	}
	return done, all
}

func (m *mounter) mounted(p mountPoint) bool {
	if p.probe != "" {
		return m.exists(p.probe)
	}
	list, _ := os.ReadFile(m.root + "/proc/self/mountinfo")
	for line := range strings.Lines(string(list)) {
		// proc_pid_mountinfo(5): the fifth field is the mount point.
		if f := strings.Fields(line); len(f) > 4 && f[4] == p.target {
			return true
		}
	}
	return false
}

// Targets lists what was mounted.
func (d *Mounts) Targets() []string { return d.targets }

// Undo unmounts, the last first, for the next program that wants to find the
// machine as it was. Files that are open stay usable.
func (d *Mounts) Undo() error {
	var all error
	for _, target := range slices.Backward(d.targets) {
		if err := d.m.unmount(target); err != nil {
			all = errors.Join(all, fmt.Errorf("unmount %s: %w", target, err))
		}
	}
	d.targets = nil
	return all
}
