package control

import (
	"context"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/time/rate"

	"github.com/xentropyd/xentropyd/internal/peercred"
	"github.com/xentropyd/xentropyd/internal/recent"
	"github.com/xentropyd/xentropyd/internal/rights"
	"github.com/xentropyd/xentropyd/internal/unixsock"
)

// Our own bounds on connections. Each user has places of its own, so that one
// who holds or floods them has none left for itself alone.
const (
	maxConns    = 32 // in all, but for root's
	maxUserConn = 4  // of one user
	maxRoot     = 8  // of root and the daemon's own user: nobody else takes them

	connRate    = 50 // new connections a second and user, with as many at once; more are refused
	requestRate = 20 // requests a second and user, with as many at once; more wait
	manyUsers   = 1024

	// Connections that are refused cost an accept each. More than so many a
	// second make the daemon wait a moment before the next.
	refusalRate  = 1000
	refusalPause = time.Millisecond

	maxReads = 64 // of one request's parts; a client sends it whole, or nearly

	writeBuffer = 16 << 10 // bytes of an answer that nobody reads; the kernel doubles it
)

// place is whom a connection counts for.
type place struct {
	root bool   // root or the daemon's own user
	uid  uint32 // else; that of the owner for a sub-uid. unknownUser where the kernel does not tell
}

// unknownUser is no user's number: setuid(2).
const unknownUser = 1<<32 - 1

// placeOf says whom a user's connections count for.
func placeOf(uid uint32) place {
	if rights.Own(uid) {
		return place{root: true}
	}
	return place{uid: peercred.Owner(uid)}
}

// most is how many connections may be there for it.
func (p place) most() int {
	switch {
	case p.root:
		return maxRoot
	case p.uid == unknownUser:
		return maxConns // all who are there, for all we know
	}
	return maxUserConn
}

// places makes l close the connections at once that have no place. What it
// accepts is a *conn.
func places(l net.Listener, of func(uid uint32) place) *placed {
	return &placed{
		Listener: l, of: of, taken: make(map[place][]*conn),
		refusals: rate.NewLimiter(refusalRate, refusalRate),
		limiter:  unixsock.NewLimiter(connRate, connRate),
		paces: recent.New[place](manyUsers, func() *rate.Limiter {
			return rate.NewLimiter(requestRate, requestRate)
		}),
	}
}

type placed struct {
	net.Listener
	of       func(uid uint32) place
	refusals *rate.Limiter
	limiter  *unixsock.Limiter
	paces    *recent.Table[place, *rate.Limiter] // of requests; root has none
	watch    unixsock.Watch
	leaving  unixsock.Leaving

	mu    sync.Mutex
	taken map[place][]*conn // oldest first; with those that have left but for what nobody has read
	all   int               // without these, and without root's
}

func (l *placed) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if p := l.admit(c.(*net.UnixConn)); p != nil {
			return p, nil
		}
		_ = c.Close()
		if !l.refusals.Allow() {
			time.Sleep(refusalPause)
		}
	}
}

// admit gives a connection its place, nil if there is none for it.
func (l *placed) admit(sock *net.UnixConn) *conn {
	c := &conn{l: l, sock: sock, place: place{uid: unknownUser}}
	creds, err := peercred.Of(sock)
	if err == nil {
		c.creds, c.known = creds, true
		c.place = l.of(creds.UID)
	}
	if !c.place.root {
		ok, flood := l.limiter.Visit(c.place.uid, time.Now())
		if flood && c.known {
			l.keepOut(creds.UID)
		}
		if !ok {
			return nil
		}
		c.requests = l.paces.Get(c.place)
	}
	c.Conn, err = unixsock.LimitWakes(sock)
	if err == nil {
		c.raw, err = sock.SyscallConn()
	}
	if err == nil {
		err = sock.SetWriteBuffer(writeBuffer)
	}
	if err != nil || !l.take(c) {
		return nil
	}
	if c.known && !rights.Own(c.creds.UID) { // who may do anything anyway needs no groups
		c.creds.Groups, _ = peercred.Groups(sock)
	}
	l.watch.Add(c.raw, c.blame)
	return c
}

// keepOut has the kernel refuse a user for a while, where the socket's file
// can.
func (l *placed) keepOut(uid uint32) {
	if s, ok := l.Listener.(*ownSocket); ok {
		s.file.KeepOut(uid)
	}
}

// take is false if there is no place for a connection. At the limit the oldest
// connection of the user with the most makes room.
func (l *placed) take(c *conn) bool {
	l.mu.Lock()
	list := l.taken[c.place]
	ok := len(list) < c.place.most()
	var yields *conn
	if ok && !c.place.root && l.all >= maxConns {
		yields = l.yields(len(living(list)))
		ok = yields != nil
	}
	if ok {
		if yields != nil {
			l.leave(yields)
		}
		l.taken[c.place] = append(list, c)
		if !c.place.root {
			l.all++
		}
	}
	l.mu.Unlock()
	if yields != nil {
		_ = yields.Close() // the server then closes its end, too
	}
	return ok
}

// yields is the oldest connection of the user with the most, if that user still
// has no fewer than the newcomer's, who has mine; else nil. The caller holds
// mu.
func (l *placed) yields(mine int) *conn {
	var biggest []*conn
	for p, list := range l.taken {
		if list := living(list); !p.root && len(list) > len(biggest) {
			biggest = list
		}
	}
	if len(biggest) <= mine+1 {
		return nil
	}
	return biggest[0]
}

// living are those that have not left.
func living(list []*conn) []*conn {
	return slices.DeleteFunc(slices.Clone(list), func(c *conn) bool { return c.left })
}

// leave says that a connection is closed; more than once does no harm. The
// caller holds mu.
func (l *placed) leave(c *conn) {
	if !c.left && !c.place.root {
		l.all--
	}
	c.left = true
}

// free takes a place back.
func (l *placed) free(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := slices.DeleteFunc(l.taken[c.place], func(o *conn) bool { return o == c })
	if l.taken[c.place] = list; len(list) == 0 {
		delete(l.taken, c.place)
	}
}

// conn is a connection with a place, and who is at its other end.
type conn struct {
	net.Conn
	l     *placed
	sock  *net.UnixConn // under Conn
	raw   syscall.RawConn
	place place
	creds peercred.Creds
	known bool // creds is what the kernel says

	requests *rate.Limiter // nil: none
	reads    atomic.Int32  // since the last request

	closing sync.Once
	left    bool      // it is closed, and keeps its place; under l.mu
	until   time.Time // it keeps its place; under l.mu
}

// begin is called for each request; it waits for the user's turn.
func (c *conn) begin(ctx context.Context) error {
	c.reads.Store(0)
	if c.requests == nil {
		return nil
	}
	return c.requests.Wait(ctx)
}

// Read has a limit between two requests: one byte at a time would cost a
// hundred times as much as what it says.
func (c *conn) Read(b []byte) (int, error) {
	if c.reads.Add(1) > maxReads && !c.place.root {
		c.blame()
		return 0, net.ErrClosed
	}
	return c.Conn.Read(b)
}

// blame is called when the other end keeps us busy for nothing: it does not get
// the place back soon.
func (c *conn) blame() {
	if !c.place.root {
		c.l.limiter.Ban(c.place.uid, time.Now())
		c.l.mu.Lock()
		c.until = time.Now().Add(unixsock.KeepOutTime)
		c.l.mu.Unlock()
	}
	_ = c.Close()
}

// Close gives the place back when the other end has read all that it was sent,
// or has hung up.
func (c *conn) Close() error {
	err := net.ErrClosed
	c.closing.Do(func() {
		c.l.watch.Remove(c.raw)
		c.l.mu.Lock()
		c.l.leave(c)
		until := c.until
		c.l.mu.Unlock()
		err = c.l.leaving.Close(c.sock, until, nil, func() { c.l.free(c) })
	})
	return err
}
