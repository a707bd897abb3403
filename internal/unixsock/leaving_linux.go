package unixsock

import (
	"io"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Between two looks at a socket that is not read.
const leavingFirst, leavingMost = time.Millisecond, time.Second

// Socket is a *net.UnixConn or an *os.File.
type Socket interface {
	syscall.Conn
	io.Closer
}

// Leaving are connections that are closed, but for what their other ends have
// not read: the kernel keeps that on our account. The zero Leaving is ready,
// and its methods may be called from any goroutine.
type Leaving struct {
	mu     sync.Mutex
	socks  map[*leaving]struct{}
	closed bool
}

type leaving struct {
	fd    int
	until time.Time
	last  func(fd int)
	over  func()
	wait  time.Duration
	timer *time.Timer
}

// Close closes a connection. When the other end has read all or is closed, and
// until has passed, last closes the last descriptor, and over is called: often
// at once, before Close returns. last may be nil.
func (l *Leaving) Close(c Socket, until time.Time, last func(fd int), over func()) error {
	if last == nil {
		last = func(fd int) { _ = unix.Close(fd) }
	}
	s := &leaving{fd: KeepLast(c), until: until, last: last, over: over, wait: leavingFirst}
	err := c.Close()
	if !s.done() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if !l.closed {
			if l.socks == nil {
				l.socks = make(map[*leaving]struct{})
			}
			l.socks[s] = struct{}{}
			s.timer = time.AfterFunc(s.wait, func() { l.look(s) })
			return err
		}
	}
	s.end()
	return err
}

func (s *leaving) done() bool { return !time.Now().Before(s.until) && AllRead(s.fd) }

func (s *leaving) end() {
	s.last(s.fd)
	s.over()
}

func (l *Leaving) look(s *leaving) {
	l.mu.Lock()
	if _, ok := l.socks[s]; !ok {
		l.mu.Unlock()
		return
	}
	if !s.done() {
		s.wait = min(2*s.wait, leavingMost)
		s.timer.Reset(s.wait)
		l.mu.Unlock()
		return
	}
	delete(l.socks, s)
	l.mu.Unlock()
	s.end()
}

// Stop waits for nobody any more, then and later.
func (l *Leaving) Stop() {
	l.mu.Lock()
	all := l.socks
	l.socks, l.closed = nil, true
	l.mu.Unlock()
	for s := range all {
		s.timer.Stop()
		s.end()
	}
}

// AllRead says whether the other end has read all that was sent on a socket, or
// is closed.
func AllRead(fd int) bool {
	n, err := unix.IoctlGetInt(fd, unix.TIOCOUTQ) // SIOCOUTQ, unix(7)
	return err != nil || n == 0
}
