package control

import (
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/time/rate"

	"github.com/xentropyd/xentropyd/internal/peercred"
	"github.com/xentropyd/xentropyd/internal/recent"
	"github.com/xentropyd/xentropyd/internal/rights"
)

// Our own bounds on connections. Each user has places of its own, so that one who holds or floods them has none left for itself alone.
const (
	maxConns    = 32 // in all, but for root's
	maxUserConn = 4  // of one user
	maxRoot     = 8  // of root and the daemon's own user: nobody else takes them

	connRate    = 50 // new connections a second and user, with as many at once; more are refused
	requestRate = 20 // requests a second and user, with as many at once; more wait
	manyUsers   = 1024

	// Connections that are refused cost an accept each. More than so many a second make the daemon wait a moment before the next.
	refusalRate  = 1000
	refusalPause = time.Millisecond
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

// places makes l close the connections at once that have no place. What it accepts is a *conn.
func places(l net.Listener, of func(uid uint32) place) *placed {
	return &placed{
		Listener: l, of: of, taken: make(map[place][]*conn),
		refusals: rate.NewLimiter(refusalRate, refusalRate),
		paces: recent.New[place](manyUsers, func() *pace {
			return &pace{rate.NewLimiter(connRate, connRate), rate.NewLimiter(requestRate, requestRate)}
		}),
	}
}

// pace bounds how often a user comes. Root has none.
type pace struct{ conns, requests *rate.Limiter }

type placed struct {
	net.Listener
	of       func(uid uint32) place
	refusals *rate.Limiter
	paces    *recent.Table[place, *pace]

	mu    sync.Mutex
	taken map[place][]*conn // oldest first
	all   int               // without root's
}

func (l *placed) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if p := l.admit(c); p != nil {
			return p, nil
		}
		_ = c.Close()
		if !l.refusals.Allow() {
			time.Sleep(refusalPause)
		}
	}
}

// admit gives a connection its place, nil if there is none for it.
func (l *placed) admit(c net.Conn) *conn {
	p := &conn{Conn: c, l: l, place: place{uid: unknownUser}}
	if s, ok := c.(syscall.Conn); ok {
		if creds, err := peercred.Of(s); err == nil {
			p.creds, p.known = creds, true
			p.place = l.of(creds.UID)
		}
	}
	if !p.place.root {
		if p.pace = l.paces.Get(p.place); !p.pace.conns.Allow() {
			return nil
		}
	}
	if !l.take(p) {
		return nil
	}
	return p
}

// take is false if there is no place for a connection.
func (l *placed) take(c *conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	mine := len(l.taken[c.place])
	if mine >= c.place.most() || !c.place.root && l.all >= maxConns && !l.makeRoom(mine) {
		return false
	}
	l.taken[c.place] = append(l.taken[c.place], c)
	if !c.place.root {
		l.all++
	}
	return true
}

// makeRoom closes the oldest connection of the user with the most, if that user still has no fewer than the newcomer's, who has mine. The
// caller holds mu.
func (l *placed) makeRoom(mine int) bool {
	var biggest []*conn
	for p, list := range l.taken {
		if !p.root && len(list) > len(biggest) {
			biggest = list
		}
	}
	if len(biggest) <= mine+1 {
		return false
	}
	_ = biggest[0].Conn.Close() // the server then closes its end, too
	l.free(biggest[0])
	return true
}

// free takes a place back; more than once does no harm. The caller holds mu.
func (l *placed) free(c *conn) {
	list := l.taken[c.place]
	i := slices.Index(list, c)
	if i < 0 {
		return
	}
	if list = slices.Delete(list, i, i+1); len(list) > 0 {
		l.taken[c.place] = list
	} else {
		delete(l.taken, c.place)
	}
	if !c.place.root {
		l.all--
	}
}

// conn is a connection with a place, and who is at its other end.
type conn struct {
	net.Conn
	l     *placed
	place place
	creds peercred.Creds
	known bool  // creds is what the kernel says
	pace  *pace // nil: none
}

func (c *conn) Close() error {
	c.l.mu.Lock()
	c.l.free(c)
	c.l.mu.Unlock()
	return c.Conn.Close()
}
