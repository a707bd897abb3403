package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/xentropyd/xentropyd/lab/internal/agent"
)

// mounts mounts the kernel's file systems and makes the directories that
// programs expect.
func mounts() error {
	for _, m := range [][3]string{
		{"proc", "/proc", ""},
		{"sysfs", "/sys", ""},
		{"devtmpfs", "/dev", ""},
		{"devpts", "/dev/pts", "ptmxmode=666"}, // xenconsoled needs it
		{"tmpfs", "/run", "mode=755"},
		{"tmpfs", "/tmp", "mode=1777"},
	} {
		if err := mount(m[0], m[1], m[2]); err != nil {
			return err
		}
	}
	for _, d := range []string{
		"/run/lock", "/run/xen", "/run/xenstored", "/var/lib/xen", "/var/lib/xenstored", "/var/log/xen/console",
	} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	return nil
}

func mount(kind, at, options string) error {
	_ = os.MkdirAll(at, 0o755) // a kernel's file system may have it already
	if err := unix.Mount(kind, at, kind, 0, options); err != nil && !errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("mount %s on %s: %w", kind, at, err)
	}
	return nil
}

// loadModules loads the kernel modules that the image lists; one that is there
// already is fine.
func loadModules() error {
	list, err := os.ReadFile(agent.ModulesPath)
	if err != nil {
		return err
	}
	for file := range strings.FieldsSeq(string(list)) {
		f, err := os.Open(file)
		if err != nil {
			return fmt.Errorf("load a kernel module: %w", err)
		}
		err = unix.FinitModule(int(f.Fd()), "", 0)
		f.Close()
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("load kernel module %s: %w", file, err)
		}
	}
	return nil
}
