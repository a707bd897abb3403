// Command init is the first process in the lab's dom0 and guests: it mounts what there is to mount, loads kernel modules, in dom0 starts
// Xen's daemons, and then runs what the lab outside asks for (see lab/internal/agent). When it ends, the machine does.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/xentropyd/xentropyd/lab/internal/agent"
)

func main() {
	if os.Getpid() == 1 {
		first()
	}
	config, words, err := configuration()
	if err == nil {
		err = work(config, words)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "lab: init: %v\n", err)
		os.Exit(1)
	}
}

// first is process 1. It buries orphans, which would disturb the waiting for children that the rest does, and ends the machine.
func first() {
	err := mounts()
	if err == nil {
		var self string
		if self, err = os.Executable(); err == nil {
			child := exec.Command(self)
			child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
			if err = child.Start(); err == nil {
				bury(child.Process.Pid)
			}
		}
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "lab: init: %v\n", err)
	}
	how := unix.LINUX_REBOOT_CMD_POWER_OFF
	if config, _, err := configuration(); err == nil && config.Restart {
		how = unix.LINUX_REBOOT_CMD_RESTART
	}
	err = unix.Reboot(how)
	fmt.Fprintf(os.Stderr, "lab: init: end the machine: %v\n", err)
	os.Exit(1) // the kernel panics then, which ends the machine too
}

// bury waits for children until one ends.
func bury(one int) {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || pid == one {
			return
		}
	}
}

// configuration reads the image's configuration and the words of the kernel's command line that begin with "lab.".
func configuration() (config agent.Config, words map[string]string, err error) {
	b, err := os.ReadFile(agent.ConfigPath)
	if err != nil {
		return config, nil, err
	}
	if err := json.Unmarshal(b, &config); err != nil {
		return config, nil, fmt.Errorf("read %s: %w", agent.ConfigPath, err)
	}
	line, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return config, nil, err
	}
	words = make(map[string]string)
	for f := range strings.FieldsSeq(string(line)) {
		if w, ok := strings.CutPrefix(f, "lab."); ok {
			name, value, _ := strings.Cut(w, "=")
			words[name] = value
		}
	}
	return config, words, nil
}
