package agent

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strconv"
	"sync"
)

// mark begins a message: @lab:LENGTH:CRC32:JSON. No other text of a console
// looks so.
const mark = "@lab:"

const (
	// chunk is how many bytes of output go into a message: less than the 2 KiB
	// ring of Xen's console when encoded.
	chunk = 1024
	// maxLine is the longest line that is looked at; longer ones are not the
	// agent's.
	maxLine = 256 << 10
	// MaxInput is how many bytes a command's standard input may have: it
	// travels in one message.
	MaxInput = 24 << 10
)

// Message is what goes over the line. Which fields are used depends on Op.
type Message struct {
	Op    string   `json:"op"`
	ID    uint64   `json:"id"`              // of the request, unique in the client's life
	Place string   `json:"place,omitempty"` // a guest's name, empty for dom0
	Argv  []string `json:"argv,omitempty"`
	Env   []string `json:"env,omitempty"`
	Dir   string   `json:"dir,omitempty"`
	Data  []byte   `json:"data,omitempty"`
	Seq   int      `json:"seq,omitempty"` // OpOutput: the message's number, from 0; OpExit: how many there were
	// OpExit: exit status, 128 and the signal's number for a killed command, or
	// -1
	Code  int    `json:"code,omitempty"`
	Error string `json:"error,omitempty"`
	// Boot tells one life of an agent from the next: answers have it, and a
	// repeated request has the one of its first answer.
	Boot string `json:"boot,omitempty"`
}

// The requests, and what answers them.
const (
	OpHello  = "hello"  // answered by OpHello
	OpExec   = "exec"   // answered by OpStarted (again at each repetition), OpOutput and OpExit
	OpKill   = "kill"   // SIGKILL for the process group of the command ID; not answered
	OpNobody = "nobody" // the place cannot be reached now
)

// The answers.
const (
	OpStarted = "started"
	OpOutput  = "output"
	OpExit    = "exit"
)

// encode makes the line of a message.
func encode(m Message) ([]byte, error) {
	b, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode a message: %w", err)
	}
	// The line feed in front ends a line that somebody else had begun.
	line := fmt.Appendf(nil, "\n%s%d:%08x:", mark, len(b), crc32.ChecksumIEEE(b))
	return append(append(line, b...), '\n'), nil
}

// decode finds a message in a line, if there is a whole one.
func decode(line []byte) (m Message, ok bool) {
	_, rest, _ := bytes.Cut(line, []byte(mark))
	f := bytes.SplitN(rest, []byte(":"), 3)
	if len(f) != 3 {
		return m, false
	}
	n, err1 := strconv.ParseUint(string(f[0]), 10, 31)
	sum, err2 := strconv.ParseUint(string(f[1]), 16, 32)
	if err1 != nil || err2 != nil || n > uint64(len(f[2])) || crc32.ChecksumIEEE(f[2][:n]) != uint32(sum) {
		return m, false
	}
	return m, json.Unmarshal(f[2][:n], &m) == nil
}

// Reader reads messages from a stream and skips everything else.
type Reader struct{ s *bufio.Reader }

// NewReader makes a Reader.
func NewReader(r io.Reader) *Reader { return &Reader{bufio.NewReaderSize(r, 64<<10)} }

// Read gives the next message, or the stream's error.
func (r *Reader) Read() (Message, error) {
	var line []byte
	for {
		part, err := r.s.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull) && len(line) < maxLine:
			continue
		case err == nil, errors.Is(err, bufio.ErrBufferFull):
			if m, ok := decode(line); ok {
				return m, nil
			}
			line = line[:0]
		default:
			return Message{}, err
		}
	}
}

// Writer writes messages; it serves any number of goroutines.
type Writer struct {
	mu sync.Mutex
	w  io.Writer
}

// NewWriter makes a Writer.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Write sends one message.
func (w *Writer) Write(m Message) error {
	line, err := encode(m)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err = w.w.Write(line)
	return err
}
