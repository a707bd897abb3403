package debian

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Package is a package to fetch.
type Package struct {
	// Name is how the cache calls it.
	Name string
	// Stands is set for a metapackage: what is fetched is its first dependency whose name begins so, found out at the time
	// because such names move with each release.
	Stands string
}

// Fetch gets and unpacks those packages that are not in the cache, or all that have a newer version if update is set. Without
// anything to do it does not use the network. A fetch that was interrupted goes on where it stopped.
func (c *Cache) Fetch(ctx context.Context, arch string, packages []Package, update bool) error {
	var missing []Package
	for _, p := range packages {
		if update || !c.has(arch, p.Name) {
			missing = append(missing, p)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	for _, program := range []string{"apt-get", "apt-cache", "dpkg-deb"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("the lab fetches with Debian's own tools: %w", err)
		}
	}
	a, err := newApt(ctx, c.Path("apt", arch), arch)
	if err != nil {
		return err
	}
	c.Log("apt-get update in a private root, %s", arch)
	if err := a.update(ctx); err != nil {
		return err
	}
	for i, p := range missing {
		if err := c.fetch(ctx, a, p, fmt.Sprintf("[%d/%d] ", i+1, len(missing))); err != nil {
			return fmt.Errorf("fetch %s:%s: %w", p.Name, arch, err)
		}
	}
	return nil
}

func (c *Cache) fetch(ctx context.Context, a *apt, p Package, progress string) error {
	name := p.Name
	if p.Stands != "" {
		var err error
		if name, err = a.depends(ctx, name, p.Stands); err != nil {
			return err
		}
	}
	file, err := a.file(ctx, name)
	if err != nil {
		return err
	}
	version := strings.TrimSuffix(file, ".deb")
	if !c.has(a.arch, version) {
		debs := c.Path("debs", a.arch)
		if err := os.MkdirAll(debs, 0o755); err != nil {
			return err
		}
		c.Log("%s%s", progress, version)
		// A file that is there already, and whole, is not downloaded again.
		if _, err := a.run(ctx, debs, "apt-get", "download", name); err != nil {
			return err
		}
		if err := unpack(ctx, filepath.Join(debs, file), c.Path("packages", a.arch, version)); err != nil {
			return err
		}
		_ = os.Remove(filepath.Join(debs, file)) // unpacked, it is not needed any more
	}
	return replaceLink(version, c.Path("packages", a.arch, p.Name))
}

// unpack unpacks a package into a directory that appears when it is complete.
func unpack(ctx context.Context, deb, dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), ".unpack-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	cmd := exec.CommandContext(ctx, "dpkg-deb", "-x", deb, tmp)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("dpkg-deb -x %s: %w: %s", deb, err, out)
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	return os.Rename(tmp, dir)
}

func replaceLink(target, link string) error {
	tmp := link + ".new"
	_ = os.Remove(tmp)
	if err := os.Symlink(target, tmp); err != nil {
		return err
	}
	return os.Rename(tmp, link)
}
