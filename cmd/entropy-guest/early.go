package main

import (
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/xentropyd/xentropyd/internal/cli"
	"github.com/xentropyd/xentropyd/internal/earlyboot"
	"github.com/xentropyd/xentropyd/transport"
)

// execWait is how long a boot is held up at most when --wait does not say.
const execWait = 30 * time.Second

// The process itself; tests replace these.
var (
	isInit  = sync.OnceValue(earlyboot.Init)
	replace = execve
	mount   = earlyboot.Mount
	forever = func() {
		for {
			time.Sleep(time.Hour)
		}
	}
)

// asInit makes a command line of what the kernel gives the machine's init:
// unless that begins with one of our commands or a flag, it is words of the
// kernel's command line that nobody knew, meant for a real init. A container's
// first process is given what somebody wrote.
func asInit(first bool, args []string) []string {
	known := func(c *cobra.Command) bool { return len(args) > 0 && c.Name() == args[0] }
	if !first || len(args) > 0 && strings.HasPrefix(args[0], "-") || slices.ContainsFunc(root().Commands(), known) {
		return args
	}
	return []string{"run"}
}

// start prepares the machine where nobody has, runs, and becomes another
// program where it was told to.
func (o *runOptions) start(cmd *cobra.Command, args []string) error {
	first := isInit()
	mounts := new(earlyboot.Mounts)
	if first {
		var err error
		if mounts, err = mount(); err != nil {
			slog.Warn("not everything could be mounted", "error", err)
		}
		slog.Info("first process", "mounted", strings.Join(mounts.Targets(), " "))
	}
	if o.exec == "" {
		err := o.run(cmd)
		if first { // its end would be the machine's
			slog.Error("nothing is left to do, and the first process must not end", "error", err)
			forever()
		}
		return err
	}
	path, err := exec.LookPath(o.exec)
	if err != nil && !first {
		return cli.Usage(fmt.Errorf("flag --exec: %w", err))
	}
	o.once = true
	if o.wait == 0 {
		o.wait = execWait
	}
	if err := o.run(cmd); err != nil {
		if !first && cmd.Context().Err() != nil {
			return err
		}
		slog.Warn("going on without a seed", "error", err, "hint", cli.Hint(err))
	}
	if err := mounts.Undo(); err != nil {
		slog.Warn("not everything could be unmounted", "error", err)
	}
	if path == "" {
		path = o.exec // what is there may have been hidden by a mount
	}
	slog.Info("becoming another program", "path", path)
	err = fmt.Errorf("become %s: %w", path, replace(path, append([]string{o.exec}, args...), os.Environ()))
	if first {
		slog.Error("the machine has no other program", "error", err)
		forever()
	}
	return err
}

// loadModules loads what a dial needs. Where that fails the dial says what is
// missing; here is why.
func loadModules(dir string, of transport.Carriers) {
	for _, c := range of {
		if c.Missing == nil {
			continue
		}
		names := modules(c.Missing())
		if len(names) == 0 {
			continue
		}
		if err := earlyboot.Load(dir, names...); err != nil {
			slog.Warn("kernel modules not loaded", "error", err, "hint", "modprobe -a "+strings.Join(names, " "))
			continue
		}
		slog.Info("kernel modules loaded", "names", strings.Join(names, " "))
	}
}

// modules are those that bring missing devices. Where something is missing that
// is no module's, none of them would help.
func modules(missing []transport.Device) (names []string) {
	for _, d := range missing {
		if d.Module == "" {
			return nil
		}
		names = append(names, d.Module)
	}
	return names
}
