package agent

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// afterExit is how long output is still taken after a command has ended, when a
// child that it left behind keeps it open.
const afterExit = time.Second

// Server answers requests in the machine.
type Server struct {
	out  *Writer
	boot string
	// forward takes messages for other places; nil refuses them.
	forward func(Message)

	mu   sync.Mutex
	jobs map[uint64]*job
}

// job is a command: its process, 0 before it has one, and how it ended.
type job struct {
	pid  int
	exit *Message
}

// NewServer makes a server that answers on out.
func NewServer(out *Writer, forward func(Message)) *Server {
	return &Server{out: out, boot: rand.Text(), forward: forward, jobs: make(map[uint64]*job)}
}

// Handle answers one message; it does not wait for commands to end.
func (s *Server) Handle(m Message) {
	switch {
	case m.Place != "" && s.forward != nil:
		s.forward(m)
	case m.Op == OpHello:
		s.answer(Message{Op: OpHello, ID: m.ID})
	case m.Op == OpExec:
		s.exec(m)
	case m.Op == OpKill:
		s.mu.Lock()
		if j := s.jobs[m.ID]; j != nil && j.exit == nil && j.pid > 0 {
			_ = syscall.Kill(-j.pid, syscall.SIGKILL)
		}
		s.mu.Unlock()
	}
}

// answer writes a message; that the line is gone ends the agent elsewhere.
func (s *Server) answer(m Message) {
	m.Boot = s.boot
	_ = s.out.Write(m)
}

// exec starts a command, or says again how a command stands.
func (s *Server) exec(m Message) {
	if m.Boot != "" && m.Boot != s.boot {
		s.answer(Message{Op: OpExit, ID: m.ID, Code: -1, Error: "the machine was started anew meanwhile"})
		return
	}
	s.mu.Lock()
	j, again := s.jobs[m.ID]
	if !again {
		j = new(job)
		s.jobs[m.ID] = j
	}
	answer := Message{Op: OpStarted, ID: m.ID}
	if j.exit != nil {
		answer = *j.exit
	}
	s.mu.Unlock()
	s.answer(answer)
	if !again {
		s.start(m, j)
	}
}

func (s *Server) start(m Message, j *job) {
	out := &output{out: s.out, id: m.ID}
	finish := func(code int, problem string) {
		exit := Message{Op: OpExit, ID: m.ID, Seq: out.count(), Code: code, Error: problem}
		s.mu.Lock()
		j.exit = &exit
		s.mu.Unlock()
		s.answer(exit)
	}
	if len(m.Argv) == 0 {
		finish(-1, "no command")
		return
	}
	cmd := exec.Command(m.Argv[0], m.Argv[1:]...)
	cmd.Env = append(os.Environ(), m.Env...)
	cmd.Dir = m.Dir
	cmd.Stdin = bytes.NewReader(m.Data)
	cmd.Stdout, cmd.Stderr = out, out // the same writer: one pipe, in order
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = afterExit
	if err := cmd.Start(); err != nil {
		finish(-1, err.Error())
		return
	}
	s.mu.Lock()
	j.pid = cmd.Process.Pid
	s.mu.Unlock()
	go func() { // ends with the command; the machine's end is the agent's
		err := cmd.Wait()
		var exit *exec.ExitError
		switch {
		case errors.As(err, &exit):
			code := exit.ExitCode()
			if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
				code = 128 + int(ws.Signal())
			}
			finish(code, "")
		case err != nil && !errors.Is(err, exec.ErrWaitDelay):
			finish(-1, err.Error())
		default:
			finish(0, "")
		}
	}()
}

// output sends what a command prints.
type output struct {
	out *Writer
	id  uint64
	mu  sync.Mutex
	seq int
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for rest := p; len(rest) > 0; {
		n := min(len(rest), chunk)
		if err := o.out.Write(Message{Op: OpOutput, ID: o.id, Seq: o.seq, Data: rest[:n]}); err != nil {
			return 0, err
		}
		o.seq++
		rest = rest[n:]
	}
	return len(p), nil
}

func (o *output) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.seq
}
