//go:build !linux

package transport

import "github.com/xentropyd/xentropyd/vchan/xen"

// lockFile has nothing to lock: there is no Xen device either.
func lockFile(string) (func(), error) { return nil, xen.ErrUnsupported }
