package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// shellScript is run before the prompt, if the image has it.
const shellScript = "/lab/shell"

// shell gives a person a prompt on a terminal; its end is the machine's.
func shell(device string) error {
	tty, err := os.OpenFile(device, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("open the console: %w", err)
	}
	defer tty.Close()
	cmd := exec.Command("/bin/sh", "-c", "[ -x "+shellScript+" ] && "+shellScript+"; exec sh -i")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	_ = cmd.Run() // however the shell ended
	return nil
}
