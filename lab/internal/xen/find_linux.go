package xen

import (
	"fmt"
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
	p := new(packages)
	for _, pkg := range m.Packages() {
		dir, err := cache.Dir(m.Arch, pkg.Name)
		if err != nil {
			return nil, err
		}
		p.dirs = append(p.dirs, dir)
	}
	for _, f := range []struct {
		to      *string
		pattern string
	}{
		{&p.kernel, "boot/vmlinuz-*"},
		{&p.modules, "lib/modules/*"},
		{&p.xen, "boot/xen-" + Version + "-" + m.Arch + ".gz"},
		{&p.busybox, "bin/busybox"},
		{&p.xenstore, "usr/bin/xenstore"},
		{&p.config, "etc/xen"},
		{&p.utils, utils},
	} {
		for _, dir := range p.dirs {
			if found, _ := filepath.Glob(filepath.Join(dir, f.pattern)); len(found) > 0 {
				*f.to = found[0]
			}
		}
		if *f.to == "" {
			return nil, fmt.Errorf("no fetched package has %s: the lab knows other versions of them", f.pattern)
		}
	}
	return p, nil
}
