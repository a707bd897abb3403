//go:build !linux

package tpm

import (
	"runtime"

	"github.com/google/go-tpm/tpm2/transport"

	"github.com/xentropyd/xentropyd/source"
)

// New is for Linux: elsewhere the source is absent, and [NewTransport] takes a
// transport of go-tpm.
func New(path string) *Device {
	return NewTransport(path, func() (transport.TPMCloser, error) {
		return nil, source.NotPresent(path, "no such device is read on "+runtime.GOOS, "only on Linux")
	})
}
