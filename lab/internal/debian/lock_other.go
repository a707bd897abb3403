//go:build !linux

package debian

import "errors"

// Lock works on Linux alone.
func (c *Cache) Lock() (unlock func(), err error) {
	return nil, errors.New("the lab runs on Linux alone")
}
