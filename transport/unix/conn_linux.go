package unix

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	sys "golang.org/x/sys/unix"

	"github.com/xentropyd/xentropyd/internal/unixsock"
)

// conn is the host's end of a connection. It is a transport.Sleeper.
type conn struct {
	name  string
	file  *os.File // non-blocking, in the runtime's poller
	raw   syscall.RawConn
	slots *unixsock.UserSlots
	over  func() error // closes file
	once  sync.Once
	ended chan struct{} // closed with it
	why   error         // set before that

	sleep func(ended <-chan struct{})
	wake  func()

	reading, writing sync.Mutex // one reader, one writer
	rwakes, wwakes   unixsock.Wakes
}

// OnSleep implements transport.Sleeper.
func (c *conn) OnSleep(sleep func(ended <-chan struct{}), wake func()) { c.sleep, c.wake = sleep, wake }

// violation blames the guest.
type violation struct{ error }

func (v violation) Unwrap() error { return v.error }

// Hostile says that the guest broke the rules.
func (violation) Hostile() bool { return true }

// errShut is a guest that keeps us busy with what it does not read.
var errShut = violation{errors.New("the guest has shut down its reading, but sends")}

// Read gives what is there, up to len(p) bytes, and waits only if there is
// nothing.
func (c *conn) Read(p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	c.reading.Lock()
	defer c.reading.Unlock()
	err = c.do(c.raw.Read, &c.rwakes, func(fd int) (err error) {
		n, err = c.slots.Take(func() (int, error) { return unixsock.ReadOnce(fd, p) })
		return err
	})
	switch {
	case (err == nil && n == 0 || errors.Is(err, sys.ECONNRESET)) && !c.isEnded():
		return 0, io.EOF
	case err == nil && n == 0: // the end is our own
		return 0, c.opError("read", net.ErrClosed)
	case err != nil:
		return 0, c.opError("read", err)
	}
	return n, nil
}

// Write sends all of p, or gives an error and how much of p was sent. It is
// sent in small pieces: see unixsock.WriteMost.
func (c *conn) Write(p []byte) (total int, err error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	for total < len(p) && err == nil {
		piece := p[total:min(total+unixsock.WriteMost, len(p))]
		n := 0
		err = c.do(c.raw.Write, &c.wwakes, func(fd int) (err error) {
			n, err = sys.SendmsgN(fd, piece, nil, nil, sys.MSG_DONTWAIT|sys.MSG_NOSIGNAL)
			return err
		})
		if err == nil {
			total += n
		}
	}
	if err != nil {
		return total, c.opError("write", err)
	}
	return total, nil
}

// do tries until it is not in vain any more. It sleeps in between; where a read
// may have to drop descriptors, which can hold it up, that is sleep as well.
func (c *conn) do(
	wait func(func(fd uintptr) bool) error, wakes *unixsock.Wakes, try func(fd int) error,
) (err error) {
	looks, asleep := 0, false
	sleep := func() {
		if !asleep {
			c.sleep(c.ended)
		}
		asleep = true
	}
	defer func() {
		if asleep {
			c.wake()
		}
	}()
	if c.slots != nil {
		sleep()
	}
	for {
		werr := wait(func(fd uintptr) bool {
			err = try(int(fd))
			looks++
			switch {
			case err == nil:
				wakes.Useful()
				return true
			case err != sys.EAGAIN && err != sys.EINTR:
				return true
			case looks > 2 && wakes.Vain(): // before that nobody woke us
				err = violation{unixsock.ErrWakes}
				return true
			}
			return !asleep // to sleep as who counts our time wants it
		})
		switch {
		case werr != nil:
			return werr
		case err == sys.EAGAIN || err == sys.EINTR:
			sleep()
		case err != unixsock.ErrNoSlot:
			return err
		}
	}
}

// SetReadDeadline is for Read, also the one under way; the zero time is none.
func (c *conn) SetReadDeadline(t time.Time) error { return c.file.SetReadDeadline(t) }

// SetWriteDeadline is for Write, also the one under way; the zero time is none.
func (c *conn) SetWriteDeadline(t time.Time) error { return c.file.SetWriteDeadline(t) }

// Close hangs up.
func (c *conn) Close() error { return c.end(net.ErrClosed) }

// end is Close for a reason, which further calls give.
func (c *conn) end(why error) error {
	err := error(&net.OpError{Op: "close", Net: scheme, Addr: c.addr(), Err: net.ErrClosed})
	c.once.Do(func() {
		c.why = why
		close(c.ended)
		err = c.over()
	})
	return err
}

func (c *conn) isEnded() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}

func (c *conn) addr() net.Addr { return &net.UnixAddr{Net: scheme, Name: c.name} }

func (c *conn) opError(op string, err error) error {
	if c.isEnded() {
		err = c.why
	}
	return &net.OpError{Op: op, Net: scheme, Addr: c.addr(), Err: err}
}
