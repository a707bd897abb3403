//go:build !linux

package kernelrng

import (
	"fmt"
	"runtime"
)

func unsupported(what string) error {
	return fmt.Errorf("%s %w, this is %s", what, ErrUnsupported, runtime.GOOS)
}

func openDevice() (device, error) { return nil, unsupported("RNDADDENTROPY") }

// EntropyAvail gives ErrUnsupported.
func EntropyAvail() (bits int, err error) { return 0, unsupported(entropyAvail) }

// Ready gives ErrUnsupported.
func Ready() (bool, error) { return false, unsupported("getrandom(2)") }
