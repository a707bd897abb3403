package demo

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/xentropyd/xentropyd/internal/wait"
)

// endTime is how long a child has to end after SIGTERM.
const endTime = 2 * time.Second

// spawner starts children from one thread that lives as long as it does: the
// kernel kills a child when the thread that started it ends (prctl(2),
// PR_SET_PDEATHSIG).
type spawner struct {
	start chan func()
	done  chan struct{}
}

func newSpawner() *spawner {
	s := &spawner{make(chan func()), make(chan struct{})}
	go func() {
		runtime.LockOSThread() // and never unlock: the thread ends with the goroutine
		defer close(s.done)
		for f := range s.start {
			f()
		}
	}()
	return s
}

// close may be called once all children have ended.
func (s *spawner) close() {
	close(s.start)
	<-s.done
}

// child is a process of the demo's.
type child struct {
	cmd    *exec.Cmd
	stderr *tail
	ended  chan struct{}
	err    error // valid once ended is closed
}

// spawn starts a program. What it writes to standard output goes to lines,
// which is called until the output ends.
func (s *spawner) spawn(program string, lines func(io.Reader), args ...string) (*child, error) {
	c := &child{cmd: exec.Command(program, args...), stderr: &tail{}, ended: make(chan struct{})}
	c.cmd.Stderr = c.stderr
	c.cmd.SysProcAttr = childAttributes()
	c.cmd.WaitDelay = time.Second
	read, write, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", args[0], err)
	}
	c.cmd.Stdout = write
	started := make(chan error)
	s.start <- func() { started <- c.cmd.Start() }
	err = <-started
	write.Close()
	if err != nil {
		read.Close()
		return nil, fmt.Errorf("start %s: %w", args[0], err)
	}
	go func() {
		defer close(c.ended)
		var output sync.WaitGroup
		output.Go(func() { defer read.Close(); lines(read) })
		c.err = c.cmd.Wait()
		output.Wait()
	}()
	return c, nil
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// kill ends the child as a crash would, and waits for it.
func (c *child) kill() {
	c.cmd.Process.Kill()
	<-c.ended
}

// stop asks the child to end, waits, and kills it if it does not.
func (c *child) stop() {
	c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.ended:
	case <-time.After(endTime):
		c.kill()
	}
}

// trouble says why a child ended that should not have.
func (c *child) trouble(what string) error {
	if said := c.stderr.String(); said != "" {
		return fmt.Errorf("%s ended: %s", what, said)
	}
	return fmt.Errorf("%s ended: %v", what, c.err)
}

// until waits for something to become true; looks at it often.
func until(ctx context.Context, limit time.Duration, is func() bool) bool {
	deadline := time.Now().Add(limit)
	for !is() {
		if time.Now().After(deadline) || !wait.For(ctx, 20*time.Millisecond) {
			return is()
		}
	}
	return true
}

// tail keeps the last lines of what is written to it.
type tail struct {
	mu sync.Mutex
	b  []byte
}

const tailBytes = 2000

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if n := len(t.b) - tailBytes; n > 0 {
		t.b = bytes.Clone(t.b[n:])
	}
	return len(p), nil
}

// String is the last line that was written.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(string(t.b)), "\n")
	return lines[len(lines)-1]
}
