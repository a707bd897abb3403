// Command init is the first process in the lab's dom0 and guests: it mounts
// what there is to mount, loads kernel modules, in dom0 starts Xen's daemons,
// and then runs what the lab outside asks for (see lab/internal/agent). When it
// ends, the machine does.
//
// Words of the kernel's command line say what is to be done:
// lab.xenstored=PROGRAM (this is dom0), lab.line=DEVICE (the agent's line),
// lab.shell (a person sits at the console) and lab.follow (entropy-guest run is
// started).
package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

func main() {
	if os.Getpid() == 1 {
		first()
	}
	if err := work(words()); err != nil {
		fmt.Fprintf(os.Stderr, "lab: init: %v\n", err)
		os.Exit(1)
	}
}

// first is process 1. It buries orphans, which would disturb the waiting for
// children that the rest does, and ends the machine.
func first() {
	err := mounts()
	if err == nil {
		child := exec.Command("/proc/self/exe")
		child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
		if err = child.Start(); err == nil {
			bury(child.Process.Pid)
		}
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "lab: init: %v\n", err)
	}
	how := unix.LINUX_REBOOT_CMD_POWER_OFF
	if words()["xenstored"] != "" {
		// QEMU is told to take it for an end: a dom0 does not switch itself
		// off.
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

// words are those of the kernel's command line that begin with "lab.". What has
// no value has its own name.
func words() map[string]string {
	line, _ := os.ReadFile("/proc/cmdline")
	words := make(map[string]string)
	for f := range strings.FieldsSeq(string(line)) {
		if w, ok := strings.CutPrefix(f, "lab."); ok {
			name, value, found := strings.Cut(w, "=")
			if words[name] = value; !found {
				words[name] = name
			}
		}
	}
	return words
}
