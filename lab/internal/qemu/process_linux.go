package qemu

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// gentle is how long QEMU may take to end when it is asked to.
const gentle = 3 * time.Second

// Process is a running QEMU.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

// Start starts a command that is QEMU. The kernel ends it should the lab die.
// If it has a terminal it keeps the lab's process group, so that it may use it.
func Start(cmd *exec.Cmd) (*Process, error) {
	// Without, a terminal's interrupt is for the lab, which then ends QEMU.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: cmd.Stdin == nil}
	p := &Process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// The parent that Pdeathsig means is the thread, so it must stay.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return p, nil
}

// Done is closed when QEMU has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err is how QEMU ended; only after Done.
func (p *Process) Err() error { return p.err }

// Stop ends QEMU, gently first, and waits for it.
func (p *Process) Stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // an error if it has ended
	select {
	case <-p.done:
	case <-time.After(gentle):
		_ = p.cmd.Process.Signal(os.Kill)
	}
	<-p.done
}

// Pair makes a connected pair of sockets: one for the lab, one for QEMU's
// -chardev socket,fd=.
func Pair() (ours net.Conn, qemus *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make a pair of sockets: %w", err)
	}
	f := os.NewFile(uintptr(fds[0]), "lab")
	defer f.Close()
	qemus = os.NewFile(uintptr(fds[1]), "qemu")
	if ours, err = net.FileConn(f); err != nil {
		qemus.Close()
		return nil, nil, fmt.Errorf("use a pair of sockets: %w", err)
	}
	return ours, qemus, nil
}
