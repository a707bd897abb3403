package demo

import "syscall"

// childAttributes put a child into a process group of its own, so that a ctrl-C
// reaches the demo alone, and make it die with the demo.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
