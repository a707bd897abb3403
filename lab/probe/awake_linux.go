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

// awake writes the wall clock, in nanoseconds, into a file when this machine was
// restored, and ends: then its processes run again. It does as little as it can
// meanwhile.
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
