//go:build !linux

package console

import (
	"fmt"
	"runtime"

	"github.com/xentropyd/xentropyd/internal/xendev"
)

func openTerminal(string) (terminal, error) {
	return nil, fmt.Errorf("PV consoles: %w, this is %s", xendev.ErrUnsupported, runtime.GOOS)
}

func notReady(error) bool { return false }
