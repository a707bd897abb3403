package unix

import (
	"errors"
	"os"
	"sync"
	"time"

	sys "golang.org/x/sys/unix"

	"github.com/xentropyd/xentropyd/internal/unixsock"
	"github.com/xentropyd/xentropyd/transport"
	"github.com/xentropyd/xentropyd/transport/internal/socket"
)

// listener gives each guest a connection.
type listener struct {
	*socket.Listener
	path string
	most int // connections of one user, with those of which something is unread

	leaving unixsock.Leaving

	mu   sync.Mutex
	have map[uint32]int // of each user
}

// Listen waits for guests on a Unix socket at path. A socket file that nobody
// listens on is replaced, and its directory made.
func Listen(path string, o transport.ListenOptions) (transport.Listener, error) {
	l := &listener{path: path, most: o.Held, have: make(map[uint32]int)}
	var err error
	if l.Listener, err = socket.Listen(scheme, path, o, l); err != nil {
		return nil, err
	}
	return l, nil
}

// Refuse has no words for it: the guest sees the connection closed.
func (l *listener) Refuse(int, bool, error) {}

// sendBuffer is what a guest may leave unread, bytes; the kernel doubles it. A
// frame has its place in it.
const sendBuffer = 4 << 10

// errHeld is why a user is turned away who has left too much unread.
var errHeld = errors.New("this user has too many connections, or has not read what was sent on those that are over")

// Open makes a connection of the socket.
func (l *listener) Open(fd int, g socket.Guest) (transport.Conn, error) {
	if hungUp(fd) {
		g.Slots.CloseSocket(fd)
		return nil, sys.EPIPE // a probe for a live socket
	}
	if !l.take(g.User) {
		g.Slots.CloseSocket(fd)
		return nil, errHeld
	}
	_ = sys.SetsockoptInt(fd, sys.SOL_SOCKET, sys.SO_SNDBUF, sendBuffer)
	c := &conn{
		name: l.path, file: os.NewFile(uintptr(fd), l.path), slots: g.Slots, ended: make(chan struct{}),
		sleep: func(<-chan struct{}) {}, wake: func() {},
	}
	var err error
	if c.raw, err = c.file.SyscallConn(); err != nil {
		l.free(g.User)
		return nil, errors.Join(err, g.Slots.Close(c.file))
	}
	c.over = func() error {
		l.Unwatch(c.raw)
		return l.leaving.Close(c.file, time.Time{}, g.Slots.CloseSocket, func() { l.free(g.User) })
	}
	l.Watch(g.User, c.raw, func() { _ = c.end(errShut) })
	return c, nil
}

func hungUp(fd int) bool {
	p := []sys.PollFd{{Fd: int32(fd)}}
	n, err := sys.Poll(p, 0)
	return err == nil && n > 0 && p[0].Revents&sys.POLLHUP != 0
}

func (l *listener) take(user uint32) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.have[user] >= l.most {
		return false
	}
	l.have[user]++
	return true
}

func (l *listener) free(user uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.have[user]--; l.have[user] == 0 {
		delete(l.have, user)
	}
}

// Close stops listening, removes the socket file if it is still ours, and turns
// away who waits. Connections that were accepted live on until they are closed.
func (l *listener) Close() error {
	err := l.Listener.Close()
	l.leaving.Stop()
	return err
}
