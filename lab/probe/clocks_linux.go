package main

import "golang.org/x/sys/unix"

// Two clocks that are read one after the other belong together if no more time than steady went by, in nanoseconds; a process that is put aside
// in between tries again, so often at most.
const (
	steady = 100_000
	tries  = 1000
)

// clocks reads the distance of the wall clock from the monotonic one, and the wall clock, in nanoseconds.
func clocks() (distance, wall int64) {
	var before, real, after unix.Timespec
	for range tries {
		_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &before) // these clocks are always there
		_ = unix.ClockGettime(unix.CLOCK_REALTIME, &real)
		_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &after)
		if after.Nano()-before.Nano() < steady {
			break
		}
	}
	return real.Nano() - before.Nano(), real.Nano()
}
