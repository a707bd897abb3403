package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"github.com/xentropyd/xentropyd/lab/internal/agent"
)

// work is everything that process 1 leaves to its child.
func work(words map[string]string) error {
	_ = os.Setenv("PATH", agent.SearchPath) // names that are allowed
	_ = os.Setenv("HOME", "/")
	_ = os.Setenv("TERM", "linux")
	if err := run("/bin/busybox", "--install", "-s", "/bin"); err != nil {
		return err
	}
	if err := loadModules(); err != nil {
		return err
	}
	if err := mount("xenfs", "/proc/xen", ""); err != nil {
		return err
	}
	dom0 := words["xenstored"] != ""
	if dom0 {
		if err := startXen(words["xenstored"]); err != nil {
			return err
		}
	}
	if words["follow"] != "" {
		// As a guest's service would be; its end is nobody's business here.
		if err := run("/bin/sh", "-c", "entropy-guest run >/run/entropy-guest.log 2>&1 </dev/null &"); err != nil {
			return err
		}
	}
	failed := make(chan error, 2)
	if device := words["line"]; device != "" {
		go func() { failed <- serve(device, dom0) }()
	}
	if words["shell"] != "" {
		go func() { failed <- shell("/dev/hvc0") }()
	}
	return <-failed
}

// serve answers the lab until the line ends, which it does with the machine.
func serve(device string, dom0 bool) error {
	tty, err := agent.OpenTTY(device)
	if err != nil {
		return err
	}
	out := agent.NewWriter(tty)
	var forward func(agent.Message)
	if dom0 {
		forward = newRelays(out).forward
	}
	server := agent.NewServer(out, forward)
	for in := agent.NewReader(tty); ; {
		m, err := in.Read()
		if err != nil {
			return fmt.Errorf("read the agent's line %s: %w", device, err)
		}
		server.Handle(m)
	}
}

// shell gives a person a prompt on a terminal; its end is the machine's. The
// script is run before, if the image has it.
func shell(device string) error {
	tty, err := os.OpenFile(device, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("open the console: %w", err)
	}
	defer tty.Close()
	cmd := exec.Command("/bin/sh", "-c", "[ -x /lab/shell ] && /lab/shell; exec sh -i")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	_ = cmd.Run() // however the shell ended
	return nil
}
