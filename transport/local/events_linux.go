package local

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xentropyd/xentropyd/internal/unixsock"
	"github.com/xentropyd/xentropyd/vchan"
)

// events are the bytes on a channel's socket. No call waits for the peer but
// Wait, and that one in the runtime's poller.
type events struct {
	file    *os.File // the socket, non-blocking; its description is ours alone
	raw     syscall.RawConn
	slots   *unixsock.UserSlots // for reads that may bring descriptors; nil where none does
	over    func(fd int)        // closes the socket, once it is shut down; nil for at once
	unwatch func()              // it is closed; nil where nobody watches it

	sending sync.Mutex // guards the three below
	send    func(fd uintptr)
	sent    error
	one     [1]byte

	look  func(fd uintptr) bool // e.lookOnce, made once
	found error                 // by this Wait
	heard atomic.Bool           // some Wait has read an event
	buf   [256]byte             // many events are one
	wakes unixsock.Wakes        // for nothing; Wait's
	first bool                  // no wake-up yet in this Wait
}

// newEvents takes over the socket, which must be non-blocking.
func newEvents(fd int, name string, s *unixsock.UserSlots) (*events, error) {
	e := &events{file: os.NewFile(uintptr(fd), name), slots: s}
	var err error
	if e.raw, err = e.file.SyscallConn(); err != nil {
		_ = e.Close()
		return nil, err
	}
	e.send, e.look = e.sendOnce, e.lookOnce
	return e, nil
}

// Notify sends a byte. Where there is no room for it there are bytes enough
// that the peer has not read.
func (e *events) Notify() error {
	e.sending.Lock()
	defer e.sending.Unlock()
	if err := e.raw.Control(e.send); err != nil {
		return net.ErrClosed
	}
	return e.sent
}

func (e *events) sendOnce(fd uintptr) {
	for {
		e.sent = unix.Sendto(int(fd), e.one[:], unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, nil)
		switch e.sent {
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			e.sent = nil
		case unix.EPIPE, unix.ECONNRESET:
			e.sent = vchan.ErrPeerGone
		}
		return
	}
}

// Wait reads what bytes there are, once there is one.
func (e *events) Wait() error {
	e.first = true
	if err := e.raw.Read(e.look); err != nil {
		if errors.Is(err, os.ErrClosed) {
			return net.ErrClosed
		}
		return err
	}
	return e.found
}

// lookOnce is called by the poller: false is for wait and call again.
func (e *events) lookOnce(fd uintptr) bool {
	n, err := e.slots.Take(func() (int, error) { return unixsock.ReadOnce(int(fd), e.buf[:]) })
	switch {
	case err == unix.EAGAIN:
		if !e.first && e.wakes.Vain() {
			e.found = fmt.Errorf("%w: %w", vchan.ErrViolation, unixsock.ErrWakes)
			return true
		}
		e.first = false
		return false
	case err == unixsock.ErrNoSlot:
		e.found = nil // as good as an event
	case err == unix.ECONNRESET, err == nil && n == 0:
		e.found = vchan.ErrPeerGone
	default:
		e.found = err
		if err == nil {
			e.heard.Store(true)
			e.wakes.Useful()
		}
	}
	return true
}

// SetWaitDeadline sets the poller's deadline for Wait.
func (e *events) SetWaitDeadline(t time.Time) error { return e.file.SetReadDeadline(t) }

// Close hangs up, which tells the peer, and makes Wait return.
func (e *events) Close() error {
	if e.unwatch != nil {
		e.unwatch()
	}
	if e.over == nil {
		return e.slots.Close(e.file)
	}
	last := unixsock.KeepLast(e.file)
	err := e.file.Close()
	e.over(last)
	return err
}
