//go:build linux && !amd64

package main

import (
	"os/exec"
	"runtime"
	"testing"
)

// hideVDSO has nothing to do where Go does not use the vDSO's getrandom, as on
// 32 bits.
func hideVDSO(t *testing.T, _ *exec.Cmd) (then func() error) {
	if runtime.GOARCH != "386" && runtime.GOARCH != "arm" {
		t.Skip("the vDSO's getrandom looks like one that waits; run this with GOARCH=386 or on amd64")
	}
	return func() error { return nil }
}
