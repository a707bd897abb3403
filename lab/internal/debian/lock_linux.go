package debian

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Lock keeps other labs out of the cache until the function that it returns is
// called; it waits for them.
func (c *Cache) Lock() (unlock func(), err error) {
	if err := os.MkdirAll(c.Root, 0o755); err != nil {
		return nil, fmt.Errorf("make the cache (set %s to move it): %w", CacheVariable, err)
	}
	f, err := os.OpenFile(c.Path("lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock the cache: %w", err)
	}
	if err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		c.Log("waiting for another lab that holds %s", f.Name())
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return func() { f.Close() }, nil
}
