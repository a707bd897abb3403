package main

import (
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

const (
	awakeEvery = 5 * time.Millisecond // between two looks at the clocks
	awakeQuiet = time.Second          // to write and to end would take from what is timed
)

// awakeCommand says when the processes of a restored guest run again. It does as little as it can meanwhile.
func awakeCommand() *cobra.Command {
	return &cobra.Command{
		Use: "awake FILE", Args: cobra.ExactArgs(1),
		Short: "Write the wall clock, in nanoseconds, into a file when this machine was restored, and end",
		RunE: func(_ *cobra.Command, args []string) error {
			runtime.LockOSThread()
			begin, _ := clocks()
			pause := unix.NsecToTimespec(int64(awakeEvery))
			for {
				_ = unix.Nanosleep(&pause, nil)
				if now, wall := clocks(); now-begin > int64(time.Second/10) {
					time.Sleep(awakeQuiet)
					return os.WriteFile(args[0], fmt.Appendln(nil, wall), 0o600)
				}
			}
		},
	}
}
