package main

import (
	"fmt"
	"os"
	"os/exec"

	"github.com/xentropyd/xentropyd/lab/internal/agent"
)

// work is everything that process 1 leaves to its child.
func work(config agent.Config, words map[string]string) error {
	for name, value := range map[string]string{"PATH": config.Path, "HOME": "/", "TERM": "linux"} {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	if out, err := exec.Command("/bin/busybox", "--install", "-s", "/bin").CombinedOutput(); err != nil {
		return fmt.Errorf("busybox --install: %w: %s", err, out)
	}
	if err := loadModules(config.Modules); err != nil {
		return err
	}
	if err := mountXenfs(); err != nil {
		return err
	}
	if config.Role == agent.RoleDom0 {
		if err := startXen(words["xenstored"]); err != nil {
			return err
		}
	}
	if _, ok := words["follow"]; ok {
		if err := follow(); err != nil {
			return err
		}
	}
	failed := make(chan error, 2)
	if device := words["line"]; device != "" {
		go func() { failed <- serve(device, config.Role == agent.RoleDom0) }()
	}
	if _, ok := words["shell"]; ok {
		go func() { failed <- shell("/dev/hvc0") }()
	}
	return <-failed
}

// follow starts entropy-guest as a guest's service would be; its end is nobody's business here.
func follow() error {
	log, err := os.Create("/run/entropy-guest.log")
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command("entropy-guest", "run")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start entropy-guest: %w", err)
	}
	go func() { _ = cmd.Wait() }() // the machine's end is its end
	return nil
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
		r := newRelays(out)
		forward = r.forward
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
