package qemu

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"time"
)

// tailLines is how much of a console's end is kept for messages.
const tailLines = 25

// Console takes what a machine prints on its serial line: each line goes to a
// log with the time since the start, and the last ones are kept.
type Console struct {
	mu    sync.Mutex
	w     io.Writer
	begin time.Time
	part  []byte
	tail  []string
}

// NewConsole logs to w.
func NewConsole(w io.Writer) *Console { return &Console{w: w, begin: time.Now()} }

// Write takes what was printed.
func (c *Console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.part = append(c.part, p...)
	for {
		line, rest, ok := bytes.Cut(c.part, []byte("\n"))
		if !ok {
			break
		}
		text := string(bytes.TrimRight(line, "\r"))
		c.part = append([]byte(nil), rest...)
		if _, err := fmt.Fprintf(c.w, "%8.2f %s\n", time.Since(c.begin).Seconds(), text); err != nil {
			return 0, err
		}
		if c.tail = append(c.tail, text); len(c.tail) > tailLines {
			c.tail = c.tail[1:]
		}
	}
	return len(p), nil
}

// Tail gives the last lines.
func (c *Console) Tail() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append(append([]string(nil), c.tail...), string(c.part))
}
