//go:build !linux

package hwrng

import (
	"os"
	"runtime"

	"github.com/xentropyd/xentropyd/source"
)

const currentFile = ""

func openDevice(path, _ string) (*os.File, string, error) {
	return nil, "", source.NotPresent(path, "no generator is read on "+runtime.GOOS, "only on Linux")
}
