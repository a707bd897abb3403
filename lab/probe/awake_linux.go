package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

const (
	awakeEvery = 5 * time.Millisecond // between two looks at the clocks
	awakeQuiet = time.Second          // to write and to end would take from what is timed
)

// awake writes the wall clock, in nanoseconds, into a file when this machine
// was restored, and ends: then its processes run again. It does as little as it
// can meanwhile.
func awake(*flag.FlagSet) func(context.Context, string) error {
	return func(_ context.Context, file string) error {
		runtime.LockOSThread()
		begin, _ := clocks()
		pause := unix.NsecToTimespec(int64(awakeEvery))
		for {
			_ = unix.Nanosleep(&pause, nil)
			if now, wall := clocks(); now-begin > int64(time.Second/10) {
				time.Sleep(awakeQuiet)
				return os.WriteFile(file, fmt.Appendln(nil, wall), 0o600)
			}
		}
	}
}

// Two clocks that are read one after the other belong together if no more time
// than steady went by, in nanoseconds; a process that is put aside in between
// tries again, so often at most.
const (
	steady = 100_000
	tries  = 1000
)

// clocks reads the distance of the wall clock from the monotonic one, and the
// wall clock, in nanoseconds.
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
