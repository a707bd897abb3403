package main

import "golang.org/x/sys/unix"

// clocks reads the distance of the wall clock from the monotonic one, and the wall clock, in nanoseconds.
func clocks() (distance, wall int64) {
	var mono, real unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &mono) // these clocks are always there
	_ = unix.ClockGettime(unix.CLOCK_REALTIME, &real)
	return real.Nano() - mono.Nano(), real.Nano()
}
