package debian

import (
	"fmt"
	"os"
	"path/filepath"
)

// CacheVariable is the environment variable that moves the cache.
const CacheVariable = "XENTROPYD_LAB_CACHE"

// Cache is a directory that holds, for each architecture, an apt root of its own, the downloaded packages and what was unpacked:
//
//	apt/ARCH/        sources, lists, empty status
//	debs/ARCH/       NAME_VERSION_ARCH.deb
//	packages/ARCH/   NAME_VERSION_ARCH/, and NAME, a symbolic link to the version in use
type Cache struct {
	Root string
	Log  func(format string, args ...any)
}

// DefaultRoot is the directory that CacheVariable names, or else xentropyd-lab in the user's cache directory.
func DefaultRoot() (string, error) {
	if d := os.Getenv(CacheVariable); d != "" {
		return filepath.Abs(d)
	}
	d, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache directory (set %s): %w", CacheVariable, err)
	}
	return filepath.Join(d, "xentropyd-lab"), nil
}

func (c *Cache) path(elem ...string) string {
	return filepath.Join(append([]string{c.Root}, elem...)...)
}

// Dir is the directory that a package was unpacked into.
func (c *Cache) Dir(arch, name string) (string, error) {
	d, err := filepath.EvalSymlinks(c.path("packages", arch, name))
	if err != nil {
		return "", fmt.Errorf("package %s:%s is not in the cache, run lab fetch: %w", name, arch, err)
	}
	return d, nil
}

// Dirs is Dir for several packages.
func (c *Cache) Dirs(arch string, packages []Package) ([]string, error) {
	var dirs []string
	for _, p := range packages {
		d, err := c.Dir(arch, p.Name)
		if err != nil {
			return nil, err
		}
		dirs = append(dirs, d)
	}
	return dirs, nil
}

// has says whether a package is unpacked.
func (c *Cache) has(arch, name string) bool {
	fi, err := os.Stat(c.path("packages", arch, name))
	return err == nil && fi.IsDir()
}
