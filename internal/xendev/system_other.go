//go:build !linux

package xendev

import (
	"fmt"
	"runtime"
)

func thisMachine() (System, error) {
	return nil, fmt.Errorf("%w, this is %s", ErrUnsupported, runtime.GOOS)
}
