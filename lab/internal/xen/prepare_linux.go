package xen

import (
	"context"

	"github.com/xentropyd/xentropyd/lab/internal/debian"
)

// Prepare makes a machine's images of Debian's packages and this tree's
// programs: it fetches packages that are missing, or newer ones of all if update
// is set, compiles, and packs. It keeps other labs out of the cache meanwhile.
func Prepare(ctx context.Context, cache *debian.Cache, m *Machine, update bool) (*Images, error) {
	if err := m.checkHost(); err != nil {
		return nil, err
	}
	unlock, err := cache.Lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := cache.Fetch(ctx, m.Arch, m.Packages(), update); err != nil {
		return nil, err
	}
	p, err := findPackages(cache, m)
	if err != nil {
		return nil, err
	}
	cache.Log("compiling for %s", m.Arch)
	programs, err := compile(ctx, p, m, cache.Path("bin", m.Arch))
	if err != nil {
		return nil, err
	}
	cache.Log("making images for %s", m.Arch)
	return build(ctx, p, m, programs, cache.Path("images", "xen-"+m.Arch))
}
