package agent

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

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

func (t *transcript) command(place string, id uint64, c Command) {
	t.line(place, id, "$ %s", strings.Join(append(append([]string(nil), c.Env...), c.Argv...), " "))
}

func (t *transcript) output(place string, id uint64, b []byte) {
	for l := range bytes.Lines(b) {
		t.line(place, id, "| %s", bytes.TrimRight(l, "\r\n"))
	}
}

func (t *transcript) exit(place string, id uint64, m Message) {
	t.line(place, id, "exit %d %s", m.Code, m.Error)
}
