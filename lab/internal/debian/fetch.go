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
	Name string
	// Stands is set for a metapackage: what is fetched is its first dependency
	// whose name begins so, found out at the time because such names move with
	// each release.
	Stands string
}

// listFile is what names the packages of a tree, in it.
const listFile = ".packages"

// Fetch gives a directory into which packages are unpacked, all into one tree.
// It fetches them if it has no such tree yet, or to get newer versions if
// update is set; otherwise it does not use the network. A fetch that was
// interrupted goes on where it stopped.
func (c *Cache) Fetch(ctx context.Context, arch string, packages []Package, update bool) (dir string, err error) {
	dir = c.Path("tree", arch)
	list := fmt.Sprintln(packages)
	if have, err := os.ReadFile(filepath.Join(dir, listFile)); err == nil && string(have) == list && !update {
		return dir, nil
	}
	if err := Require(map[string]string{"apt-get": "apt", "apt-cache": "apt", "dpkg-deb": "dpkg"}); err != nil {
		return "", err
	}
	a, err := newApt(ctx, c.Path("apt", arch), arch)
	if err != nil {
		return "", err
	}
	c.Log("apt-get update in a private root, %s", arch)
	if _, err := a.run(ctx, a.dir, "apt-get", "update"); err != nil {
		return "", err
	}
	debs, tmp := c.Path("debs", arch), dir+".new"
	_ = os.RemoveAll(tmp)
	for _, d := range []string{debs, tmp} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return "", fmt.Errorf("make a directory for packages: %w", err)
		}
	}
	for i, p := range packages {
		c.Log("[%d/%d] %s", i+1, len(packages), p.Name)
		if err := a.fetch(ctx, p, debs, tmp); err != nil {
			return "", fmt.Errorf("fetch %s:%s: %w", p.Name, arch, err)
		}
	}
	if err := os.WriteFile(filepath.Join(tmp, listFile), []byte(list), 0o644); err != nil {
		return "", fmt.Errorf("note what was fetched: %w", err)
	}
	_ = os.RemoveAll(debs) // unpacked, they are not needed any more
	if err := os.RemoveAll(dir); err != nil {
		return "", fmt.Errorf("remove the older packages: %w", err)
	}
	return dir, os.Rename(tmp, dir)
}

// fetch downloads a package, unless it is there already and whole, and unpacks
// it.
func (a *apt) fetch(ctx context.Context, p Package, debs, to string) error {
	name := p.Name
	if p.Stands != "" {
		var err error
		if name, err = a.depends(ctx, name, p.Stands); err != nil {
			return err
		}
	}
	out, err := a.run(ctx, a.dir, "apt-get", "download", "--print-uris", name) // where no such file is
	if err != nil {
		return err
	}
	f := strings.Fields(out) // 'address' file size hash
	if len(f) < 2 || !strings.HasSuffix(f[1], ".deb") || strings.Contains(f[1], "/") {
		return fmt.Errorf("apt-get download --print-uris %s: no file name in what it printed: %q", name, out)
	}
	if _, err := a.run(ctx, debs, "apt-get", "download", name); err != nil {
		return err
	}
	return unpack(ctx, filepath.Join(debs, f[1]), to)
}

func unpack(ctx context.Context, deb, dir string) error {
	if out, err := exec.CommandContext(ctx, "dpkg-deb", "-x", deb, dir).CombinedOutput(); err != nil {
		return fmt.Errorf("dpkg-deb -x %s: %w: %s", deb, err, out)
	}
	return nil
}
