package local

import (
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xentropyd/xentropyd/internal/cputime"
	"github.com/xentropyd/xentropyd/internal/lend"
	"github.com/xentropyd/xentropyd/internal/peercred"
	"github.com/xentropyd/xentropyd/internal/unixsock"
	"github.com/xentropyd/xentropyd/vchan"
	"github.com/xentropyd/xentropyd/vchan/ring"
)

// Listener takes guests. It has no goroutine of its own; guests that nobody
// accepts wait in the kernel.
type Listener struct {
	path string
	opts ListenOptions
	sock *os.File
	file *unixsock.File
	addr vchan.Addr

	hands   *unixsock.Hands // nil where the kernel refuses descriptors
	lender  *lend.Lender    // nil where nobody can count what guests have
	canSeal bool            // guests must seal their memory

	pacer *unixsock.Pacer
	watch unixsock.Watch // of channels that live

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

func listen(path string, opts ListenOptions) (*Listener, error) {
	l := &Listener{
		path: path, opts: opts, addr: vchan.Addr{Net: "local", Name: path},
		pacer: unixsock.NewPacer(opts.Rate, opts.Burst), closing: make(chan struct{}),
	}
	var err error
	if l.lender, err = lend.New(boundHeld(opts.Held, descriptorLimit())); err != nil { // without it a user may keep memory of each channel that was
		l.pacer = unixsock.NewPacer(min(opts.Rate, slowRate), opts.Burst)
	}
	l.canSeal = lend.CanSeal()
	l.sock, l.file, err = unixsock.Listen(path, opts.Mode, func(fd int) {
		if !unixsock.RefuseDescriptors(fd) {
			l.hands = unixsock.NewHands()
		}
	})
	if err != nil {
		l.closeLender()
		return nil, err
	}
	return l, nil
}

// slowRate is how often a second a user may connect where what it keeps is not
// counted.
const slowRate = 1

// boundHeld bounds what one user may have by the process's limit of descriptors:
// those that nobody has taken out of a socket count against it, and sending more
// is an error then for all (unix(7), ETOOMANYREFS). A quarter is given in any
// case, for channels that live.
func boundHeld(held int, descriptors uint64) int {
	return min(held, max(held/4, 8, int(min(descriptors/16, 1<<20))))
}

// descriptorLimit is how many descriptors this process may have.
func descriptorLimit() uint64 {
	var lim unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &lim) != nil {
		return math.MaxUint64
	}
	return lim.Cur
}

func (l *Listener) closeLender() {
	if l.lender != nil {
		l.lender.Close()
	}
}

// Accept waits for the next guest that is let in, and hands it its memory. The
// Conn is a vchan server. After Close it gives net.ErrClosed, and no other
// error: where descriptors or memory are short it waits.
func (l *Listener) Accept() (*vchan.Conn, Peer, error) {
	l.accepting.Lock()
	defer l.accepting.Unlock()
	const shortest, longest = 5 * time.Millisecond, time.Second
	for pause := shortest; ; {
		if l.closed() {
			return nil, Peer{}, l.closedError("accept")
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
			return nil, Peer{}, l.closedError("accept")
		}
		pause = min(2*pause, longest)
	}
}

func (l *Listener) closedError(op string) error {
	return &net.OpError{Op: op, Net: l.addr.Net, Addr: l.addr, Err: net.ErrClosed}
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

// greet looks at who came, and opens the channel or says why not. It takes over
// the socket.
func (l *Listener) greet(fd int) (*vchan.Conn, Peer, error) {
	peer, err := peercred.OfFD(fd)
	if err != nil {
		_ = unix.Close(fd)
		return nil, peer, err
	}
	now := time.Now()
	user := peercred.Owner(peer.UID)
	h := l.hands.Of(user)
	status, err := l.admit(fd, &peer, user, h, now)
	if err == nil {
		var c *vchan.Conn
		if c, err = l.open(fd, peer, user, h); err == nil {
			return c, peer, nil
		}
	}
	// Who has hung up is a probe, for instance for a live socket.
	tell := !errors.Is(err, unix.EPIPE) && l.pacer.MayTell(user, now)
	if status != statusAccepted {
		if tell || status != statusNone {
			answer(fd, min(status, statusBusy), err.Error())
		}
		h.CloseSocket(fd)
	}
	if tell && l.opts.Refused != nil {
		l.opts.Refused(peer, err)
	}
	return nil, peer, err
}

// statusNone is for busy, but for no answer, which costs as much as all else, more than once a
// second.
const statusNone = 1<<16 - 1

// admit says why a guest is not let in. What may take time is only looked at for
// whom it is to be let in by all else.
func (l *Listener) admit(fd int, peer *Peer, user uint32, h *unixsock.Hand, now time.Time) (status uint16, why error) {
	ok, flood := l.pacer.Visit(user, now)
	switch {
	case (flood || h.Full()) && l.file.KeepOut(peer.UID):
		return statusBusy, fmt.Errorf("%w, and is kept out for %v", ErrTooFast, unixsock.KeepOutTime)
	case h.Full():
		l.owed += restFull
		return statusNone, ErrTooFast
	case flood:
		return statusNone, ErrTooFast
	case !ok:
		return statusBusy, ErrTooFast
	case l.opts.Allow == nil:
		return statusAccepted, nil
	}
	if peer.Groups, why = peercred.GroupsOfFD(fd); why != nil {
		return statusRefused, fmt.Errorf("ask for the user's groups: %w", why)
	}
	if !l.opts.Allow(*peer) {
		return statusRefused, ErrNotAllowed
	}
	return statusAccepted, nil
}

// answer sends what a new socket has room for: who cannot take it is not waited for.
func answer(fd int, status uint16, text string, fds ...int) error {
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	return unix.Sendmsg(fd, encodeAnswer(status, text), oob, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
}

// open makes the channel and hands it over. It takes over the socket.
func (l *Listener) open(fd int, peer Peer, user uint32, h *unixsock.Hand) (*vchan.Conn, error) {
	mem, guest, err := l.lendPage(user)
	if err != nil {
		answer(fd, statusBusy, err.Error())
		h.CloseSocket(fd)
		return nil, err
	}
	defer func() { _ = unix.Close(guest) }()
	// Events that a guest does not read are the daemon's memory until it does. The
	// kernel gives the least that it knows, which is a handful of them; one says
	// as much as many.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 1)
	e, err := newEvents(fd, l.path, h)
	if err != nil {
		_ = mem.Close()
		return nil, err
	}
	cfg := vchan.Config{
		Role: ring.Server, Orders: Orders, Memory: mem, Events: e, Silent: true, Admit: mem.admit,
		Local: l.addr, Remote: vchan.Addr{Net: "local", Name: fmt.Sprintf("%s guest %d", l.path, peer.PID)},
	}
	mem.heard = func() bool { return e.heard.Load() }
	if mem.loan != nil {
		e.over = func(fd int) { mem.loan.Unread(fd, func() { h.CloseSocket(fd) }) }
	}
	e.unwatch = func() { l.watch.Remove(e.raw) }
	c, err := vchan.New(cfg)
	if err != nil {
		return nil, err
	}
	l.watch.Add(e.raw, func() {
		l.pacer.Ban(user, time.Now())
		c.Abort(fmt.Errorf("%w: it has shut down its reading, but sends", vchan.ErrViolation))
	})
	var sent error
	err = e.raw.Control(func(fd uintptr) { sent = answer(int(fd), statusAccepted, "", guest) })
	if err = errors.Join(err, sent); err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("hand the memory to the guest: %w", err)
	}
	return c, nil
}

// lendPage makes the memory of a user's channel, and gives the descriptor for
// the guest.
func (l *Listener) lendPage(user uint32) (_ *lentPage, guest int, err error) {
	p := &lentPage{canSeal: l.canSeal}
	if l.lender != nil {
		p.loan, err = l.lender.Page(user)
		if err == nil {
			p.fd, guest = p.loan.Host, p.loan.Guest
		}
	} else if p.fd, err = lend.Memory(); err == nil {
		if guest, err = unix.FcntlInt(uintptr(p.fd), unix.F_DUPFD_CLOEXEC, 3); err != nil {
			_ = unix.Close(p.fd)
		}
	}
	if err != nil {
		return nil, -1, err
	}
	if p.page, err = mapPage(p.fd); err != nil {
		_ = unix.Close(guest)
		if p.loan != nil {
			p.loan.Done(true, func() {})
		} else {
			_ = unix.Close(p.fd)
		}
		return nil, -1, err
	}
	p.page.hold()
	return p, guest, nil
}

// Addr is the socket's address.
func (l *Listener) Addr() net.Addr { return l.addr }

// Close stops listening, removes the socket file if it is still ours, and turns
// away who waits. Channels that were accepted live on until they are closed.
func (l *Listener) Close() error {
	err := l.closedError("close")
	l.once.Do(func() {
		close(l.closing)
		_ = unix.Shutdown(int(l.sock.Fd()), unix.SHUT_RDWR) // Accept ends
		l.accepting.Lock()
		defer l.accepting.Unlock()
		err = errors.Join(l.file.Remove(), l.hands.CloseListener(l.sock))
		l.closeLender()
	})
	return err
}
