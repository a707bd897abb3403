package main

import (
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"testing"
)

const (
	atNull        = 0  // AT_NULL (elf.h)
	atIgnore      = 1  // AT_IGNORE
	atSysinfoEHDR = 33 // AT_SYSINFO_EHDR: where the vDSO is
)

// hideVDSO makes a command's process start without the vDSO, whose getrandom
// (Linux 6.11) asks the kernel for a key in a way that would wait even for one
// who must not: in earnest it does so only when there is a seed. What it
// returns is to be called after Start, by the same thread.
func hideVDSO(_ *testing.T, c *exec.Cmd) (then func() error) {
	c.SysProcAttr = &syscall.SysProcAttr{Ptrace: true} // it stops before its first instruction
	return func() error {
		pid := c.Process.Pid
		var status syscall.WaitStatus
		if _, err := syscall.Wait4(pid, &status, 0, nil); err != nil || !status.Stopped() {
			return fmt.Errorf("wait for process %d to stop: %v, status %#x", pid, err, status)
		}
		err := takeVDSO(pid)
		return errors.Join(err, syscall.PtraceDetach(pid))
	}
}

// takeVDSO goes over what the kernel put on a new process's stack: the number
// of arguments, those, the environment, each with a zero behind it, and pairs
// of a type and a value.
func takeVDSO(pid int) error {
	var regs syscall.PtraceRegs
	if err := syscall.PtraceGetRegs(pid, &regs); err != nil {
		return fmt.Errorf("read registers: %w", err)
	}
	at := uintptr(regs.Rsp)
	word := func() (n uint64, err error) {
		var b [8]byte
		_, err = syscall.PtracePeekData(pid, at, b[:])
		at += 8
		for i := range b {
			n |= uint64(b[i]) << (8 * i)
		}
		return n, err
	}
	arguments, err := word()
	if err != nil {
		return fmt.Errorf("read the stack: %w", err)
	}
	at += uintptr(8 * (arguments + 1))
	for n := uint64(1); n != 0; { // the environment
		if n, err = word(); err != nil {
			return fmt.Errorf("read the environment: %w", err)
		}
	}
	for {
		kind, err := word()
		switch {
		case err != nil:
			return fmt.Errorf("read the auxiliary vector: %w", err)
		case kind == atNull:
			return errors.New("there is no vDSO")
		case kind == atSysinfoEHDR:
			_, err := syscall.PtracePokeData(pid, at-8, []byte{atIgnore, 0, 0, 0, 0, 0, 0, 0})
			return err
		}
		at += 8
	}
}
