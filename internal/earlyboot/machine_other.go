//go:build !linux

package earlyboot

import "fmt"

var thisMachine = &mounter{
	mount:   func(string, string) error { return ErrUnsupported },
	unmount: func(string) error { return ErrUnsupported },
}

func kernelRelease() (string, error) { return "", ErrUnsupported }

func insertModule(string, bool) error { return fmt.Errorf("load a module: %w", ErrUnsupported) }
