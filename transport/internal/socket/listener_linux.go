package socket

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xentropyd/xentropyd/internal/cputime"
	"github.com/xentropyd/xentropyd/internal/peercred"
	"github.com/xentropyd/xentropyd/internal/proc"
	"github.com/xentropyd/xentropyd/internal/unixsock"
	"github.com/xentropyd/xentropyd/transport"
)

// Guest is who is let in.
type Guest struct {
	peercred.Creds
	User  uint32              // that of the owner for a sub-uid
	Slots *unixsock.UserSlots // of the user, for calls that may drop descriptors
}

// Carrier is what a carrier does with those who come. Accept calls both.
type Carrier interface {
	// Open makes the connection of a guest that is let in. It takes over the
	// socket, and waits for nobody.
	Open(fd int, g Guest) (transport.Conn, error)

	// Refuse tells a guest why it is not let in, if it can be told without
	// waiting. busy is for who may come again later.
	Refuse(fd int, busy bool, why error)
}

// Listener takes guests for a carrier. It has no goroutine of its own; guests
// that nobody accepts wait in the kernel.
type Listener struct {
	scheme, path string
	opts         transport.ListenOptions
	carrier      Carrier
	sock         *os.File
	file         *unixsock.File

	slots   *unixsock.Slots // nil where the kernel refuses descriptors
	limiter *unixsock.Limiter
	watch   unixsock.Watch // of channels that live

	accepting sync.Mutex    // one at a time; guards the one below
	owed      time.Duration // of rest, for those who were turned away

	once    sync.Once
	closing chan struct{}
}

// For the CPU time of turning somebody away Accept rests some times as long (a
// half of what a connection costs is before it can be counted): a flood by whom
// the socket file cannot keep out takes a sixth of a core or so.
const (
	restFactor = 9
	restLeast  = 3 * time.Millisecond
	greetMost  = 5 * time.Millisecond // more is another thread's time

	// Where the sockets of a user cannot be closed as fast as they come, and
	// nothing keeps that user out, all have to wait.
	restFull = 25 * time.Millisecond
)

// Listen waits for guests of a carrier with this scheme on a Unix socket at
// path. A socket file that nobody listens on is replaced, a directory that is
// missing made.
func Listen(scheme, path string, o transport.ListenOptions, c Carrier) (*Listener, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("make the socket's directory: %w", err)
	}
	l := &Listener{
		scheme: scheme, path: path, opts: o, carrier: c,
		limiter: unixsock.NewLimiter(o.Rate, o.Burst), closing: make(chan struct{}),
	}
	var err error
	l.sock, l.file, err = unixsock.Listen(path, o.Mode, func(fd int) {
		if !unixsock.RefuseDescriptors(fd) {
			l.slots = unixsock.NewSlots()
		}
	})
	if err != nil {
		return nil, fmt.Errorf("listen for guests of this machine: %w", err)
	}
	return l, nil
}

// Accept waits for the next guest that is let in. After Close it gives
// net.ErrClosed, and no other error: where descriptors or memory are short it
// waits.
func (l *Listener) Accept() (transport.Conn, transport.Peer, error) {
	l.accepting.Lock()
	defer l.accepting.Unlock()
	const shortest, longest = 5 * time.Millisecond, time.Second
	for pause := shortest; ; {
		if l.closed() {
			return nil, transport.Peer{}, l.closedError("accept")
		}
		fd, err := unixsock.Accept(l.sock)
		if err == nil {
			began := cputime.Thread()
			if c, peer, err := l.greet(fd); err == nil {
				return c, peer, nil
			}
			pause = shortest
			l.owed += restFactor * min(max(0, cputime.Thread()-began), greetMost)
			if l.owed < restLeast {
				continue
			}
			pause, l.owed = l.owed, 0
		}
		if errors.Is(err, net.ErrClosed) || !l.sleep(pause) {
			return nil, transport.Peer{}, l.closedError("accept")
		}
		pause = min(2*pause, longest)
	}
}

func (l *Listener) closedError(op string) error {
	return &net.OpError{Op: op, Net: l.scheme, Addr: l.Addr(), Err: net.ErrClosed}
}

func (l *Listener) closed() bool {
	select {
	case <-l.closing:
		return true
	default:
		return false
	}
}

// sleep returns false when the listener is closed.
func (l *Listener) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-l.closing:
		return false
	}
}

// greet looks at who came, and lets the carrier open the channel or say why
// not. It takes over the socket.
func (l *Listener) greet(fd int) (transport.Conn, transport.Peer, error) {
	creds, err := peercred.OfFD(fd)
	if err != nil {
		_ = unix.Close(fd)
		return nil, transport.Peer{}, err
	}
	now := time.Now()
	g := Guest{Creds: creds, User: peercred.Owner(creds.UID)}
	g.Slots = l.slots.Of(g.User)
	verdict, err := l.admit(fd, &g, now)
	if err == nil {
		var c transport.Conn
		if c, err = l.carrier.Open(fd, g); err == nil {
			return c, l.peer(g.Creds), nil
		}
	}
	// Who has hung up is a probe, for instance for a live socket.
	tell := !errors.Is(err, unix.EPIPE) && l.limiter.MayTell(g.User, now)
	if verdict != letIn {
		if tell || verdict != silently {
			l.carrier.Refuse(fd, verdict != refused, err)
		}
		g.Slots.CloseSocket(fd)
	}
	if tell && l.opts.Refused != nil {
		l.opts.Refused(l.peer(g.Creds), err)
	}
	return nil, transport.Peer{}, err
}

// verdict is what becomes of somebody who came.
type verdict int

const (
	letIn    verdict = iota
	refused          // for good
	busy             // for now
	silently         // for now, without an answer more than once a second: that costs as much as all else
)

// admit says why a guest is not let in. What may take time is only looked at
// for whom it is to be let in by all else.
func (l *Listener) admit(fd int, g *Guest, now time.Time) (v verdict, why error) {
	ok, flood := l.limiter.Visit(g.User, now)
	switch {
	case (flood || g.Slots.Full()) && l.file.KeepOut(g.UID):
		return busy, fmt.Errorf("%w, and is kept out for %v", ErrTooFast, unixsock.KeepOutTime)
	case g.Slots.Full():
		l.owed += restFull
		return silently, ErrTooFast
	case flood:
		return silently, ErrTooFast
	case !ok:
		return busy, ErrTooFast
	case l.opts.Allow == nil:
		return letIn, nil
	}
	if g.Groups, why = peercred.GroupsOfFD(fd); why != nil {
		return refused, fmt.Errorf("ask for the user's groups: %w", why)
	}
	if !l.opts.Allow(g.UID, append([]uint32{g.GID}, g.Groups...)) {
		return refused, ErrNotAllowed
	}
	return letIn, nil
}

// peer names a process by what the kernel says of it (SO_PEERCRED, unix(7)).
func (l *Listener) peer(c peercred.Creds) transport.Peer {
	return transport.Peer{
		ID:      fmt.Sprintf("%s:%d/%s", l.scheme, c.UID, proc.ID(int(c.PID))),
		Group:   peercred.UserName(peercred.Owner(c.UID)),
		Name:    proc.Name(int(c.PID)),
		Carrier: l.scheme,
		OwnName: true,
		First:   c.UID == 0,
	}
}

// Slots are the users' places for calls that may drop descriptors, nil where
// the kernel refuses those.
func (l *Listener) Slots() *unixsock.Slots { return l.slots }

// Slow bounds how often a user may connect: for where what a user keeps cannot
// be counted. It is called before the first Accept.
func (l *Listener) Slow(rate float64) {
	l.limiter = unixsock.NewLimiter(min(l.opts.Rate, rate), l.opts.Burst)
}

// Watch has a connection's socket watched until Unwatch: once its other end has
// shut down its reading, but sends, the user is kept out for a while and over
// is called.
func (l *Listener) Watch(user uint32, s syscall.RawConn, over func()) {
	l.watch.Add(s, func() {
		l.limiter.Ban(user, time.Now())
		over()
	})
}

// Unwatch is for a socket that is about to be closed, watched or not.
func (l *Listener) Unwatch(s syscall.RawConn) { l.watch.Remove(s) }

// Addr is the socket's address.
func (l *Listener) Addr() net.Addr { return &net.UnixAddr{Net: l.scheme, Name: l.path} }

// Close stops listening, removes the socket file if it is still ours, and turns
// away who waits. Channels that were accepted live on until they are closed.
func (l *Listener) Close() error {
	err := l.closedError("close")
	l.once.Do(func() {
		close(l.closing)
		_ = unix.Shutdown(int(l.sock.Fd()), unix.SHUT_RDWR) // Accept ends
		l.accepting.Lock()
		defer l.accepting.Unlock()
		err = errors.Join(l.file.Remove(), l.slots.CloseListener(l.sock))
	})
	return err
}
