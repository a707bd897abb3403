package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// repeat is how often a request goes out again until its result is there.
const repeat = 5 * time.Second

// Client talks to the agents in a machine; it serves any number of goroutines.
// Its owner closes the stream and then calls Wait.
type Client struct {
	out    *Writer
	log    *transcript
	repeat time.Duration
	done   chan struct{}

	last    atomic.Uint64 // request
	mu      sync.Mutex
	waiting map[key]chan Message
}

type key struct {
	place string
	id    uint64
}

// NewClient starts a client on a stream; what is said goes into log as readable
// text.
func NewClient(stream io.ReadWriter, log io.Writer) *Client {
	c := &Client{
		out: NewWriter(stream), log: &transcript{w: log, begin: time.Now()}, repeat: repeat,
		done: make(chan struct{}), waiting: make(map[key]chan Message),
	}
	go c.read(NewReader(stream))
	return c
}

// Wait waits for the end of the stream.
func (c *Client) Wait() { <-c.done }

func (c *Client) read(r *Reader) {
	defer close(c.done)
	for {
		m, err := r.Read()
		if err != nil {
			return
		}
		c.mu.Lock()
		ch := c.waiting[key{m.Place, m.ID}]
		c.mu.Unlock()
		if ch != nil {
			select {
			case ch <- m:
			default: // so much that nobody keeps up with it counts as lost on the line
			}
		}
	}
}

// errClosed says that the machine's line has ended: the machine has.
var errClosed = errors.New("the machine's line has ended")

// ask sends a request, and again every so often, until answer says that an
// answer is the last.
func (c *Client) ask(ctx context.Context, m Message, every time.Duration, answer func(Message) (last bool)) error {
	k, answers := key{m.Place, m.ID}, make(chan Message, 4096)
	c.mu.Lock()
	c.waiting[k] = answers
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.waiting, k)
		c.mu.Unlock()
	}()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if err := c.out.Write(m); err != nil {
			return fmt.Errorf("%w: %w", errClosed, err)
		}
		for again := false; !again; {
			select {
			case a := <-answers:
				if m.Boot == "" {
					m.Boot = a.Boot
				}
				if answer(a) {
					return nil
				}
			case <-tick.C:
				again = true
			case <-c.done:
				return errClosed
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

// Hello waits until the agent of a place answers: "" is dom0, others are guests
// by name.
func (c *Client) Hello(ctx context.Context, place string) error {
	why := "no answer"
	err := c.ask(ctx, Message{Op: OpHello, ID: c.last.Add(1), Place: place}, time.Second, func(m Message) bool {
		why = m.Error
		return m.Op == OpHello
	})
	if err != nil {
		return fmt.Errorf("wait for the agent in %s (%s): %w", name(place), why, err)
	}
	return nil
}

// Command is a program to run. What it prints on both outputs is one stream.
type Command struct {
	Argv  []string
	Env   []string // added to the agent's own
	Dir   string   // "" for /
	Stdin []byte   // at most MaxInput
	Quiet bool     // keep the output out of the transcript
}

// Result is how a command ended.
type Result struct {
	Code   int // 128 and the signal's number if a signal killed it
	Output []byte
	Lost   int // pieces of output that got lost on the line
}

// Exec runs a command in a place and waits for its end. One that ends badly is
// no error: look at Result.Code. When ctx ends, it and its children are killed.
func (c *Client) Exec(ctx context.Context, place string, cmd Command) (*Result, error) {
	what := fmt.Sprintf("run %s in %s", strings.Join(cmd.Argv, " "), name(place))
	if len(cmd.Stdin) > MaxInput {
		return nil, fmt.Errorf("%s: standard input of %d bytes, at most %d are possible",
			what, len(cmd.Stdin), MaxInput)
	}
	id := c.last.Add(1)
	c.log.line(place, id, "$ %s", strings.Join(append(slices.Clone(cmd.Env), cmd.Argv...), " "))
	request := Message{Op: OpExec, ID: id, Place: place, Argv: cmd.Argv, Env: cmd.Env, Dir: cmd.Dir, Data: cmd.Stdin}
	var result Result
	var exit Message
	got := 0
	err := c.ask(ctx, request, c.repeat, func(m Message) bool {
		if m.Op == OpOutput {
			got++
			result.Output = append(result.Output, m.Data...)
			if !cmd.Quiet {
				c.log.output(place, id, m.Data)
			}
		}
		exit = m
		return m.Op == OpExit
	})
	if err != nil {
		_ = c.out.Write(Message{Op: OpKill, ID: id, Place: place})
		c.log.line(place, id, "given up")
		return nil, fmt.Errorf("%s: %w; it had printed:\n%s", what, err, result.Output)
	}
	c.log.line(place, id, "exit %d %s", exit.Code, exit.Error)
	if exit.Error != "" {
		return nil, fmt.Errorf("%s: %s", what, exit.Error)
	}
	result.Code, result.Lost = exit.Code, max(0, exit.Seq-got)
	return &result, nil
}

func name(place string) string {
	if place == "" {
		return "dom0"
	}
	return "guest " + place
}

// transcript writes what went over the line so that a person can read it.
type transcript struct {
	mu    sync.Mutex
	w     io.Writer
	begin time.Time
}

func (t *transcript) line(place string, id uint64, format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.w, "%8.2f %s #%d ", time.Since(t.begin).Seconds(), name(place), id)
	fmt.Fprintf(t.w, format+"\n", args...)
}

func (t *transcript) output(place string, id uint64, b []byte) {
	for l := range bytes.Lines(b) {
		t.line(place, id, "| %s", bytes.TrimRight(l, "\r\n"))
	}
}
