//go:build !linux

package domain

import "github.com/xentropyd/xentropyd/internal/xendev"

// Lock has nothing to lock: there is no Xen device either.
func Lock(string) (func(), error) { return nil, xendev.ErrUnsupported }
