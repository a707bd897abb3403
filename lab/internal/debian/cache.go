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

// OpenCache is the cache in the directory that CacheVariable names, or else in
// xentropyd-lab in the user's cache directory. It logs to standard error.
func OpenCache() (*Cache, error) {
	c := &Cache{Log: func(format string, args ...any) { fmt.Fprintf(os.Stderr, "lab: "+format+"\n", args...) }}
	var err error
	if c.Root = os.Getenv(CacheVariable); c.Root != "" {
		if c.Root, err = filepath.Abs(c.Root); err != nil {
			return nil, fmt.Errorf("find the cache %s: %w", c.Root, err)
		}
		return c, nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("find the cache directory (set %s): %w", CacheVariable, err)
	}
	c.Root = filepath.Join(dir, "xentropyd-lab")
	return c, nil
}

// Path is a path below the cache.
func (c *Cache) Path(elem ...string) string {
	return filepath.Join(append([]string{c.Root}, elem...)...)
}

// Dir is the directory that a package was unpacked into.
func (c *Cache) Dir(arch, name string) (string, error) {
	d, err := filepath.EvalSymlinks(c.Path("packages", arch, name))
	if err != nil {
		return "", fmt.Errorf("package %s:%s is not in the cache: %w", name, arch, err)
	}
	return d, nil
}

// has says whether a package is unpacked.
func (c *Cache) has(arch, name string) bool {
	fi, err := os.Stat(c.Path("packages", arch, name))
	return err == nil && fi.IsDir()
}
