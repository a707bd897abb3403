package unixsock

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// The other end of a stream socket can wake us without sending a byte: by
// urgent data (send(2), MSG_OOB), and by shutting down its reading again and
// again (shutdown(2), SHUT_RD). The first wakes whoever reads, which counts how
// often. The second wakes only the runtime's poller, on nobody's account, and
// is found by looking once a second.

// WakesLimit is how often a reader may be woken for nothing beyond twice for each
// time that it was for something; once is the poller's own.
const WakesLimit = 100

// Wakes counts wake-ups for nothing. It belongs to one reader.
type Wakes struct{ vain int }

// Vain counts one, and says whether that is too much.
func (w *Wakes) Vain() (tooMuch bool) {
	w.vain++
	return w.vain > WakesLimit
}

// Useful is for a wake-up with something to read.
func (w *Wakes) Useful() { w.vain = max(0, w.vain-2) }

// ErrWakes is why a connection ends whose other end wakes us for nothing.
var ErrWakes = errors.New("woken often without anything to read")

// ReadOnce reads what there is on a non-blocking socket; EAGAIN is for nothing.
func ReadOnce(fd int, b []byte) (int, error) {
	for {
		if n, err := unix.Read(fd, b); err != unix.EINTR {
			return n, err
		}
	}
}

// limited is a connection whose Read counts wake-ups.
type limited struct {
	*net.UnixConn
	raw   syscall.RawConn
	mu    sync.Mutex // one reader
	wakes Wakes
}

// LimitWakes makes a connection's Read fail with ErrWakes after too many
// wake-ups without a byte, and has its Write send small pieces, of which nobody
// can keep anything on our account (see WriteMost).
func LimitWakes(c *net.UnixConn) (net.Conn, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	return &limited{UnixConn: c, raw: raw}, nil
}

func (c *limited) Read(b []byte) (n int, err error) {
	if len(b) == 0 {
		return 0, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	first := true // a look without a wake-up
	rerr := c.raw.Read(func(fd uintptr) bool {
		n, err = ReadOnce(int(fd), b)
		if err != unix.EAGAIN {
			return true
		}
		if !first && c.wakes.Vain() {
			err = ErrWakes
			return true
		}
		first = false
		return false
	})
	switch {
	case rerr != nil:
		return 0, rerr
	case err != nil:
		return 0, fmt.Errorf("read from %s: %w", c.LocalAddr(), err)
	case n == 0:
		return 0, io.EOF
	}
	c.wakes.Useful()
	return n, nil
}

// WriteMost is how much is sent at once, bytes. The kernel keeps what is longer
// in pages, which the other end can splice into a pipe and keep, on our
// account, when it has read them as far as AllRead can see.
const WriteMost = 2 << 10

func (c *limited) Write(b []byte) (total int, err error) {
	for len(b) > 0 && err == nil {
		var n int
		n, err = c.UnixConn.Write(b[:min(len(b), WriteMost)])
		total += n
		b = b[n:]
	}
	return total, err
}
