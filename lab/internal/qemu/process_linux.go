package qemu

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// gentle is how long QEMU may take to end when it is asked to.
const gentle = 3 * time.Second

// Config says what to start.
type Config struct {
	Program string
	Args    []string
	Dir     string
	// Stdin is nil, or the terminal that a person sits at: then QEMU keeps the lab's process group, so that it may use the terminal.
	Stdin          *os.File
	Stdout, Stderr io.Writer
	// Files are what QEMU finds as file descriptors 3 and up.
	Files []*os.File
}

// Process is a running QEMU.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error
	stop sync.Once
}

// Start starts QEMU. The kernel ends it should the lab die.
func Start(c Config) (*Process, error) {
	cmd := exec.Command(c.Program, c.Args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = c.Dir, c.Stdout, c.Stderr, c.Files
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if c.Stdin != nil {
		cmd.Stdin = c.Stdin
	} else {
		cmd.SysProcAttr.Setpgid = true // a terminal's interrupt is for the lab, which then ends QEMU
	}
	p := &Process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// The parent that Pdeathsig means is the thread, so it must stay.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		p.err = cmd.Wait()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Program, err)
	}
	return p, nil
}

// Pid is the process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Done is closed when QEMU has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err is how QEMU ended; only after Done.
func (p *Process) Err() error { return p.err }

// Stop ends QEMU, gently first, and waits for it.
func (p *Process) Stop() {
	p.stop.Do(func() {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.done:
		case <-time.After(gentle):
			_ = p.cmd.Process.Kill()
		}
	})
	<-p.done
}

// String is the command line, for logs.
func (p *Process) String() string { return strings.Join(p.cmd.Args, " ") }
