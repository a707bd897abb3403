//go:build unix

package source

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// urandomPath is the kernel's generator as a device that never waits; in a
// variable for tests.
var urandomPath = "/dev/urandom"

var errNoDevice = errors.New("not a character device")

// urandom fills dst from the device. It opens it each time, which takes some
// microseconds and leaves nothing open.
func urandom(dst []byte) error {
	f, err := os.OpenFile(urandomPath, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil {
		return err
	} else if info.Mode()&fs.ModeCharDevice == 0 {
		return fmt.Errorf("%s: %w", urandomPath, errNoDevice)
	}
	_, err = io.ReadFull(f, dst)
	return err
}
