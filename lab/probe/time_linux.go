package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// clock runs a program and prints how long it ran, from fork to its end. Its
// output goes to a file, which costs the guest's one CPU less than a pipe to
// somebody else.
func clock(set *flag.FlagSet) func(context.Context, string) error {
	return func(_ context.Context, program string) error {
		out, err := os.CreateTemp("", "time")
		if err != nil {
			return err
		}
		defer os.Remove(out.Name())
		defer out.Close()
		cmd := exec.Command(program, set.Args()[1:]...)
		cmd.Stdout, cmd.Stderr = out, out
		begin := time.Now()
		err = cmd.Run()
		took := time.Since(begin)
		if err != nil {
			text, _ := os.ReadFile(out.Name())
			return fmt.Errorf("%v: %w: %s", cmd.Args, err, text)
		}
		u := cmd.ProcessState.SysUsage().(*syscall.Rusage)
		fmt.Printf("took %.6f s, CPU %.3f s, %d page faults, %d times asleep, %d times put aside\n", took.Seconds(),
			(cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds(),
			u.Minflt+u.Majflt, u.Nvcsw, u.Nivcsw)
		return nil
	}
}
