package local

import (
	"errors"
	"fmt"
	"math"

	"golang.org/x/sys/unix"

	"github.com/xentropyd/xentropyd/internal/lend"
	"github.com/xentropyd/xentropyd/transport"
	"github.com/xentropyd/xentropyd/transport/internal/socket"
	"github.com/xentropyd/xentropyd/vchan"
	"github.com/xentropyd/xentropyd/vchan/ring"
)

// listener hands each guest its memory: its Accept gives a vchan server.
type listener struct {
	*socket.Listener
	path    string
	lender  *lend.Lender // nil where nobody can count what guests have
	canSeal bool         // guests must seal their memory
}

func listen(path string, o transport.ListenOptions) (*listener, error) {
	l := &listener{path: path, canSeal: lend.CanSeal()}
	var err error
	if l.Listener, err = socket.Listen(scheme, path, o, l); err != nil {
		return nil, err
	}
	if l.lender, err = lend.New(boundHeld(o.Held, descriptorLimit())); err != nil {
		l.Slow(slowRate) // a user may keep memory of each channel that was
	}
	return l, nil
}

// slowRate is how often a second a user may connect where what it keeps is not
// counted.
const slowRate = 1

// boundHeld bounds what one user may have by the process's limit of
// descriptors: those that nobody has taken out of a socket count against it,
// and sending more is an error then for all (unix(7), ETOOMANYREFS). A quarter
// is given in any case, for channels that live.
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

// Close stops listening, removes the socket file if it is still ours, and turns
// away who waits. Channels that were accepted live on until they are closed.
func (l *listener) Close() error {
	err := l.Listener.Close()
	if l.lender != nil {
		l.lender.Close()
	}
	return err
}

// Refuse sends an answer that says why.
func (l *listener) Refuse(fd int, busy bool, why error) {
	status := uint16(statusRefused)
	if busy {
		status = statusBusy
	}
	_ = answer(fd, status, why.Error())
}

// answer sends what a new socket has room for: who cannot take it is not waited
// for.
func answer(fd int, status uint16, text string, fds ...int) error {
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	return unix.Sendmsg(fd, encodeAnswer(status, text), oob, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
}

// Open makes the channel and hands it over.
func (l *listener) Open(fd int, g socket.Guest) (transport.Conn, error) {
	mem, guest, err := l.lendPage(g.User)
	if err != nil {
		l.Refuse(fd, true, err)
		g.Slots.CloseSocket(fd)
		return nil, err
	}
	defer func() { _ = unix.Close(guest) }()
	// Events that a guest does not read are the daemon's memory until it does.
	// The kernel gives the least that it knows, which is a handful of them; one
	// says as much as many.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 1)
	e, err := newEvents(fd, l.path, g.Slots)
	if err != nil {
		_ = mem.Close()
		return nil, err
	}
	cfg := vchan.Config{
		Role: ring.Server, Orders: Orders, Memory: mem, Events: e, Silent: true, Admit: mem.admit,
		Local:  vchan.Addr{Net: scheme, Name: l.path},
		Remote: vchan.Addr{Net: scheme, Name: fmt.Sprintf("%s guest %d", l.path, g.PID)},
	}
	mem.heard = func() bool { return e.heard.Load() }
	if mem.loan != nil {
		e.over = func(fd int) { mem.loan.Unread(fd, func() { g.Slots.CloseSocket(fd) }) }
	}
	e.unwatch = func() { l.Unwatch(e.raw) }
	c, err := vchan.New(cfg)
	if err != nil {
		return nil, err
	}
	l.Watch(g.User, e.raw, func() {
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
func (l *listener) lendPage(user uint32) (_ *lentPage, guest int, err error) {
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
