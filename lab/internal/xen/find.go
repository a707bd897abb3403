package xen

import (
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/xentropyd/xentropyd/lab/internal/debian"
)

// packages are the places of what the images are made of.
type packages struct {
	dirs                             []string // of all packages
	kernel, modules, xen             string
	busybox, xenstore, utils, config string
}

func findPackages(cache *debian.Cache, m *Machine) (*packages, error) {
	dirs, err := cache.Dirs(m.Arch, m.Packages())
	if err != nil {
		return nil, err
	}
	p := &packages{dirs: dirs}
	for _, f := range []struct {
		to           *string
		pkg, pattern string
	}{
		{&p.kernel, "linux-image-" + m.Arch, "boot/vmlinuz-*"},
		{&p.modules, "linux-image-" + m.Arch, "lib/modules/*"},
		{&p.xen, "xen-hypervisor-" + Version + "-" + m.Arch, "boot/xen-" + Version + "-" + m.Arch + "*"},
		{&p.busybox, "busybox-static", "bin/busybox"},
		{&p.xenstore, "xenstore-utils", "usr/bin/xenstore"},
		{&p.config, "xen-utils-common", "etc/xen"},
		{&p.utils, "xen-utils-" + Version, utils},
	} {
		dir, err := cache.Dir(m.Arch, f.pkg)
		if err != nil {
			return nil, err
		}
		found, err := filepath.Glob(filepath.Join(dir, f.pattern))
		if err != nil || len(found) == 0 {
			return nil, fmt.Errorf("package %s has no %s: the lab knows another version of it (%v)", f.pkg, f.pattern, err)
		}
		*f.to = found[0]
		for _, name := range found { // among xen-…-amd64.config, .efi and .gz, or the plain file
			if ext := filepath.Ext(name); ext == ".gz" {
				*f.to = name
			}
		}
	}
	return p, nil
}

// hypervisor reads Xen; QEMU's multiboot loader wants it unpacked.
func (p *packages) hypervisor() ([]byte, error) {
	f, err := os.Open(p.xen)
	if err != nil {
		return nil, fmt.Errorf("read Xen: %w", err)
	}
	defer f.Close()
	var r io.Reader = f
	if filepath.Ext(p.xen) == ".gz" {
		if r, err = gzip.NewReader(f); err != nil {
			return nil, fmt.Errorf("unpack %s: %w", p.xen, err)
		}
	}
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("unpack %s: %w", p.xen, err)
	}
	return b, nil
}
