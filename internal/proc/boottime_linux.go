package proc

import (
	"time"

	"golang.org/x/sys/unix"
)

// SinceBoot is the time since the machine's boot, sleep included
// (CLOCK_BOOTTIME, clock_gettime(2)): the same for all processes, and no step
// of the wall clock changes it. It is 0 where it is not known.
func SinceBoot() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
