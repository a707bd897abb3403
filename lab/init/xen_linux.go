package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// patience bounds the start of each of Xen's daemons, on a slow machine.
const patience = 90 * time.Second

// startXen starts what makes a plain Linux a dom0.
func startXen(xenstored string) error {
	if err := run(xenstored); err != nil {
		return err
	}
	const socket = "/run/xenstored/socket"
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(socket); err == nil {
			break
		} else if time.Now().After(end) {
			return fmt.Errorf("%s does not come up: %w", xenstored, err)
		}
	}
	if err := run("xen-init-dom0"); err != nil {
		return err
	}
	return run("xenconsoled", "--log=all", "--log-dir=/var/log/xen/console")
}

// run runs a program that ends or puts itself into the background.
func run(program string, args ...string) error {
	f, err := os.CreateTemp("/run", "out") // a pipe would be kept open by the daemon
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdout, cmd.Stderr = f, f
	if err := cmd.Run(); err != nil {
		text, _ := os.ReadFile(f.Name())
		return fmt.Errorf("%s: %w: %s", program, err, text)
	}
	return nil
}
