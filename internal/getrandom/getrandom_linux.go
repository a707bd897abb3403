package getrandom

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Patience is how long a call is waited for as long as none has succeeded. Our
// own choice: the kernel takes microseconds.
const Patience = 500 * time.Millisecond

// probe is the most bytes that a call is asked for that may not return:
// getrandom(2) gives up to 256 whole.
const probe = 256

// ErrNoAnswer says that the system call has not returned. While it has not, all
// further calls of Read give this at once.
var ErrNoAnswer = errors.New("no answer")

// Read is getrandom(2): it puts up to len(p) random bytes into p and returns
// their number, with flags such as unix.GRND_NONBLOCK. The error is the
// kernel's, a unix.Errno, or wraps ErrNoAnswer. It is safe for concurrent use,
// and takes longer than Patience only if the kernel answered a former call and
// does not answer this one.
func Read(p []byte, flags int) (int, error) { return process.read(p, flags) }

// process is the one caller of this process: what stands before the kernel
// stands before all of the process.
var process = caller{call: system}

// system makes the system call itself. unix.Getrandom uses the vDSO where there
// is one, and then the scheduler does not know of a call that takes long: the
// next garbage collection would wait for it, and the whole process with that.
func system(p []byte, flags int) (int, error) {
	n, _, errno := unix.Syscall(unix.SYS_GETRANDOM, uintptr(unsafe.Pointer(unsafe.SliceData(p))),
		uintptr(len(p)), uintptr(flags))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// caller makes calls in a goroutine that is left behind if they do not return,
// until the first success; then directly. A filter can be added later, but only
// by the process itself.
type caller struct {
	call    func(p []byte, flags int) (int, error)
	answers atomic.Bool

	mu      sync.Mutex
	pending chan struct{} // closed when the call that was left has returned; nil: there is none
}

func (c *caller) read(p []byte, flags int) (int, error) {
	if c.answers.Load() {
		return c.call(p, flags)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.answers.Load() { // while this one waited for its turn
		return c.call(p, flags)
	}
	if c.pending != nil {
		select {
		case <-c.pending:
			c.pending = nil
		default:
			return 0, fmt.Errorf("%w, still", ErrNoAnswer)
		}
	}
	return c.bounded(p, flags)
}

// bounded makes a call with a buffer of its own, which it wipes. The caller
// holds mu.
func (c *caller) bounded(p []byte, flags int) (n int, err error) {
	own := make([]byte, min(len(p), probe))
	answered, leave, returned := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() { // owned by c
		defer close(returned)
		got, failed := c.call(own, flags)
		select {
		case answered <- struct{}{}:
			n, err = copy(p, own[:got]), failed
		case <-leave: // p is somebody else's again
		}
		clear(own)
	}()
	late := time.NewTimer(Patience)
	defer late.Stop()
	select {
	case <-answered:
		<-returned
		c.answers.Store(err == nil)
		return n, err
	case <-late.C:
		close(leave)
		c.pending = returned
		return 0, fmt.Errorf("%w for %v", ErrNoAnswer, Patience)
	}
}
