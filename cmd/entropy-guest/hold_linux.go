package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xentropyd/xentropyd/transport"
)

// A holder is this program as another process, which has files open that must
// never be closed, and does nothing. Its name begins as systemd-shutdown wants
// it of what it is to leave alone: the machine goes down with it (systemd's
// "Root Storage Daemons" convention; killed, it would meet what it is there to
// prevent).
const (
	holderName = "@entropy-guest"
	holderWord = "hold"
)

// leaveTime bounds the asking and handing over at the end; a service manager
// waits for it.
const leaveTime = 2 * time.Second

// exitLost is EX_OSERR of sysexits.h: a call into the kernel was lost. Service
// managers start what ended so again.
const exitLost = 71

// isHolder says whether this process was started by startHolder.
func isHolder(args []string) bool {
	return len(args) == 2 && args[0] == holderName && args[1] == holderWord
}

// hold never returns.
func hold() {
	signal.Ignore(unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGPIPE, unix.SIGUSR1, unix.SIGUSR2)
	for {
		_ = unix.Pause()
	}
}

// holder is the process that holds now; the one before it is not needed any
// more.
var holder struct {
	mu  sync.Mutex
	cmd *exec.Cmd
}

// startHolder is a transport.Keeper.
func startHolder(files []*os.File) error {
	holder.mu.Lock()
	defer holder.mu.Unlock()
	cmd := &exec.Cmd{
		Path: "/proc/self/exe", Args: []string{holderName, holderWord}, Dir: "/", Env: []string{"GOMAXPROCS=1"},
		ExtraFiles: files, SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	if old := holder.cmd; old != nil {
		_ = old.Process.Kill()
		_ = old.Wait()
	}
	holder.cmd = cmd
	slog.Debug("event channels of before a restore are held", "process", cmd.Process.Pid, "files", len(files))
	return nil
}

// prepare has what must not be closed held by another process, and ends this
// one when a thread of it was lost in the kernel.
func prepare() {
	for _, c := range carriers {
		if c.Process != nil {
			c.Process.KeepWith(startHolder)
			go endWhenLost(c.Process.Lost(), os.Exit) // until the process ends
		}
	}
}

func endWhenLost(lost <-chan struct{}, exit func(int)) {
	<-lost
	slog.Error("a call of a driver did not come back; ending, so that the service is started again", "see", "dmesg")
	exit(exitLost)
}

// endUsedUp ends a process that can dial no more, so that its service is
// started again.
func endUsedUp(err error) {
	if errors.Is(err, transport.ErrUsedUp) {
		slog.Error("ending, so that the service is started again", "error", err)
		leave()
		os.Exit(exitLost)
	}
}

// leave is at the end of what has dialled.
func leave() {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTime)
	defer cancel()
	for _, c := range carriers {
		if c.Process == nil {
			continue
		}
		if err := c.Process.Leave(ctx); err != nil {
			slog.Warn("what must not be closed is not held beyond the end of this process",
				"carrier", c.Scheme, "error", err)
		}
	}
}
