package debian

import (
	"fmt"
	"os"
	"path/filepath"
)

// CacheVariable is the environment variable that moves the cache.
const CacheVariable = "XENTROPYD_LAB_CACHE"

// Cache is a directory that holds, for each architecture, an apt root of its
// own (apt/ARCH), packages that are being fetched (debs/ARCH), and the tree of
// what was unpacked (tree/ARCH). It is one for all labs of a user, see Lock.
type Cache struct {
	Root string
	Log  func(format string, args ...any)
}

// OpenCache is the cache in the directory that CacheVariable names, or else in
// xentropyd-lab in the user's cache directory. It logs to standard error.
func OpenCache() (*Cache, error) {
	root := os.Getenv(CacheVariable)
	if root == "" {
		dir, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("find the cache directory (set %s): %w", CacheVariable, err)
		}
		root = filepath.Join(dir, "xentropyd-lab")
	}
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("find the cache directory: %w", err)
	}
	return &Cache{root, func(format string, args ...any) { fmt.Fprintf(os.Stderr, "lab: "+format+"\n", args...) }}, nil
}

// Path is a path below the cache.
func (c *Cache) Path(elem ...string) string {
	return filepath.Join(append([]string{c.Root}, elem...)...)
}
