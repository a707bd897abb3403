//go:build !linux

package tpm

import (
	"runtime"

	"github.com/xentropyd/xentropyd/source"
)

// Open is for Linux: elsewhere, give [New] a transport of go-tpm.
func Open(path string) (*Device, error) {
	return nil, source.NotPresent(source.NameTPM, "no device like "+path+" on "+runtime.GOOS, "only Linux has it")
}
