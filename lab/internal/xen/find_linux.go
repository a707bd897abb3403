package xen

import (
	"fmt"
	"path/filepath"

	"github.com/xentropyd/xentropyd/lab/internal/agent"
)

// packages are the places of what the images are made of, in the tree of all
// packages.
type packages struct {
	tree                             string
	kernel, modules, xen             string
	busybox, xenstore, utils, config string
}

func findPackages(tree, arch string) (*packages, error) {
	p := &packages{tree: tree}
	for pattern, to := range map[string]*string{
		"boot/vmlinuz-*": &p.kernel,
		"lib/modules/*":  &p.modules,
		"boot/xen-" + agent.XenVersion + "-" + arch + ".gz": &p.xen,
		"bin/busybox":      &p.busybox,
		"usr/bin/xenstore": &p.xenstore,
		"etc/xen":          &p.config,
		agent.UtilsDir:     &p.utils,
	} {
		found, err := filepath.Glob(filepath.Join(tree, pattern))
		if err != nil || len(found) == 0 {
			return nil, fmt.Errorf("no fetched package has %s: the lab knows other versions of them (%v)", pattern, err)
		}
		*to = found[0]
	}
	return p, nil
}
