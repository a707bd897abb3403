//go:build !linux

package proc

import (
	"errors"
	"time"
)

// Start is not known here.
func Start(int) (uint64, error) {
	return 0, errors.New("the start of a process is only known on Linux")
}

// SinceBoot is 0: the time since boot is only known on Linux.
func SinceBoot() time.Duration { return 0 }
