package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// repeat is how often a request goes out again until its result is there.
const repeat = 5 * time.Second

// Client talks to the agents in a machine; it serves any number of goroutines. Its owner closes the stream and then calls Wait.
type Client struct {
	out    *Writer
	log    *transcript
	repeat time.Duration
	done   chan struct{}

	mu      sync.Mutex
	err     error
	last    uint64
	waiting map[key]chan Message
}

type key struct {
	place string
	id    uint64
}

// NewClient starts a client on a stream; what is said goes into log as readable text.
func NewClient(stream io.ReadWriter, log io.Writer) *Client {
	c := &Client{out: NewWriter(stream), log: &transcript{w: log, begin: time.Now()}, repeat: repeat, done: make(chan struct{}), waiting: make(map[key]chan Message)}
	go c.read(NewReader(stream))
	return c
}

// Wait waits for the end of the stream.
func (c *Client) Wait() { <-c.done }

func (c *Client) read(r *Reader) {
	defer close(c.done)
	for {
		m, err := r.Read()
		c.mu.Lock()
		if err != nil {
			c.err = err
			c.mu.Unlock()
			return
		}
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

func (c *Client) begin(place string) (id uint64, answers chan Message, end func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last++
	id = c.last
	answers = make(chan Message, 4096)
	k := key{place, id}
	c.waiting[k] = answers
	return id, answers, func() {
		c.mu.Lock()
		delete(c.waiting, k)
		c.mu.Unlock()
	}
}

// errClosed says that the machine's line has ended: the machine has.
var errClosed = errors.New("the machine's line has ended")

// Hello waits until the agent of a place answers: "" is dom0, others are guests by name.
func (c *Client) Hello(ctx context.Context, place string) error {
	id, answers, end := c.begin(place)
	defer end()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	why := "no answer"
	for {
		if err := c.out.Write(Message{Op: OpHello, ID: id, Place: place}); err != nil {
			return fmt.Errorf("%w: %w", errClosed, err)
		}
	wait:
		for {
			select {
			case m := <-answers:
				if m.Op == OpHello {
					return nil
				}
				why = m.Error
			case <-tick.C:
				break wait
			case <-c.done:
				return errClosed
			case <-ctx.Done():
				return fmt.Errorf("wait for the agent in %s (%s): %w", name(place), why, ctx.Err())
			}
		}
	}
}

// Command is a command to run.
type Command struct {
	Argv  []string
	Env   []string // added to the agent's own
	Dir   string
	Stdin []byte // at most MaxInput bytes
	// Output gets what the command prints, as it comes; may be nil.
	Output func([]byte)
	// Quiet keeps the output out of the client's log.
	Quiet bool
}

// Result is how a command ended.
type Result struct {
	Code   int    // exit status; 128 and the signal's number for a killed one
	Output []byte // standard output and standard error as they came
	Lost   int    // pieces of output that the line lost
}

// Exec runs a command and waits for its end. A command that ends badly is no error: look at Result.Code. When ctx ends, the command
// and its children are killed.
func (c *Client) Exec(ctx context.Context, place string, cmd Command) (*Result, error) {
	what := fmt.Sprintf("run %s in %s", strings.Join(cmd.Argv, " "), name(place))
	if len(cmd.Stdin) > MaxInput {
		return nil, fmt.Errorf("%s: standard input of %d bytes, at most %d are possible", what, len(cmd.Stdin), MaxInput)
	}
	id, answers, end := c.begin(place)
	defer end()
	c.log.command(place, id, cmd)
	request := Message{Op: OpExec, ID: id, Place: place, Argv: cmd.Argv, Env: cmd.Env, Dir: cmd.Dir, Data: cmd.Stdin}
	tick := time.NewTicker(c.repeat)
	defer tick.Stop()
	var result Result
	var buffer bytes.Buffer
	got := 0
	if err := c.out.Write(request); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", what, errClosed, err)
	}
	for {
		select {
		case m := <-answers:
			if request.Boot == "" {
				request.Boot = m.Boot
			}
			switch m.Op {
			case OpOutput:
				got++
				buffer.Write(m.Data)
				if !cmd.Quiet {
					c.log.output(place, id, m.Data)
				}
				if cmd.Output != nil {
					cmd.Output(m.Data)
				}
			case OpExit:
				c.log.exit(place, id, m)
				if m.Error != "" {
					return nil, fmt.Errorf("%s: %s", what, m.Error)
				}
				result.Code, result.Output, result.Lost = m.Code, buffer.Bytes(), max(0, m.Seq-got)
				return &result, nil
			}
		case <-tick.C:
			if err := c.out.Write(request); err != nil {
				return nil, fmt.Errorf("%s: %w: %w", what, errClosed, err)
			}
		case <-c.done:
			return nil, fmt.Errorf("%s: %w", what, errClosed)
		case <-ctx.Done():
			_ = c.out.Write(Message{Op: OpKill, ID: id, Place: place})
			c.log.exit(place, id, Message{Code: -1, Error: "given up"})
			return nil, fmt.Errorf("%s: %w; it had printed:\n%s", what, ctx.Err(), buffer.Bytes())
		}
	}
}

func name(place string) string {
	if place == "" {
		return "dom0"
	}
	return "guest " + place
}
