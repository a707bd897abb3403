package xenstoretest

import (
	"bufio"
	"io"
	"strings"
	"sync"

	"github.com/xentropyd/xentropyd/xenstore"
	"github.com/xentropyd/xentropyd/xenstore/internal/wire"
)

// maxQueue is how many messages wait for a client that does not read before it
// is cut off.
const maxQueue = 1 << 14

// conn is one client's connection. Its watches and transactions are under the
// server's lock.
type conn struct {
	s     *Server
	rwc   io.ReadWriteCloser
	domid uint16
	dev   *device // nil for a socket's connection
	out   queue

	watches []*watch
	txs     map[uint32]*view
	lastTx  uint32
}

func newConn(s *Server, rwc io.ReadWriteCloser, domid uint16) *conn {
	c := &conn{s: s, rwc: rwc, domid: domid, txs: make(map[uint32]*view)}
	c.out.cond.L = &c.out.mu
	return c
}

func (c *conn) drop() {
	c.out.close()
	_ = c.rwc.Close()
}

// send queues a message. A client that lets too many wait is cut off.
func (c *conn) send(msg []byte) {
	if !c.out.put(msg) {
		c.drop()
	}
}

// answer sends a reply.
func (c *conn) answer(msg []byte) {
	if c.dev != nil {
		c.dev.answered()
	}
	c.send(msg)
}

func (c *conn) readLoop() {
	defer c.s.gone(c)
	defer c.drop()
	r := bufio.NewReader(c.rwc)
	for {
		// Like the daemon, an over-long message costs the connection.
		h, payload, err := wire.Next(r, nil)
		if err != nil || !c.handle(h, payload) {
			return
		}
	}
}

func (c *conn) writeLoop() {
	defer c.rwc.Close()
	for {
		msg, ok := c.out.get()
		if !ok {
			return
		}
		if _, err := c.rwc.Write(msg); err != nil {
			return
		}
	}
}

// handle does one request; false ends the connection.
func (c *conn) handle(h wire.Header, payload []byte) bool {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	var f Fault
	if s.fault != nil {
		first, _, _ := strings.Cut(string(payload), "\x00")
		f = s.fault(Request{DomID: c.domid, Op: h.Op.String(), ReqID: h.Req, Tx: h.Tx, Path: first})
	}
	if f.Drop {
		return false
	}
	op, reply, e := h.Op, []byte(nil), errName(f.Error)
	if e == ok {
		reply, e = c.do(h, payload)
	}
	if e == ok && len(reply) > wire.MaxPayload && (!s.opt.noParts || c.dev != nil) {
		e = e2BIG
	}
	if e != ok {
		op, reply = wire.Error, wire.Join(string(e))
	}
	msg := wire.Message(op, h.Req, h.Tx, reply)
	if f.Raw != nil {
		msg = f.Raw
	}
	// Before the answer, as the daemons do.
	s.flush()
	switch {
	case f.Mute:
	case f.Hold != nil:
		s.wg.Go(func() {
			select {
			case <-f.Hold:
				c.answer(msg)
			case <-s.stop:
			}
		})
	default:
		c.answer(msg)
	}
	if h.Op == wire.Watch && e == ok {
		w := c.watches[len(c.watches)-1]
		c.event(w, w.path)
	}
	return true
}

// path makes a client's path absolute. Both daemons take relative ones over the
// socket too, as domain 0's.
func (c *conn) path(p string) (string, errName) {
	limit := p
	if !strings.HasPrefix(p, "/") && p != "" {
		p = xenstore.DomainPath(c.domid) + "/" + p
	} else if rest, in := strings.CutPrefix(p, "/local/domain/"); in {
		if i := strings.IndexByte(rest, '/'); i >= 0 {
			limit = rest[i+1:]
		}
	}
	// The C daemon's default bound holds for what is below a domain's own
	// directory, or for the whole.
	if xenstore.ValidatePath(p) != nil || strings.HasPrefix(p, "@") || len(limit) > wire.MaxRelPath {
		return "", eINVAL
	}
	return p, ok
}

// queue holds the messages that are still to be sent.
type queue struct {
	mu     sync.Mutex
	cond   sync.Cond
	list   [][]byte
	closed bool
}

// put queues a message; false means that there are too many already.
func (q *queue) put(msg []byte) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.list) >= maxQueue {
		return false
	}
	if !q.closed {
		q.list = append(q.list, msg)
	}
	q.cond.Signal()
	return true
}

func (q *queue) get() ([]byte, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.list) == 0 && !q.closed {
		q.cond.Wait()
	}
	if q.closed {
		return nil, false
	}
	msg := q.list[0]
	q.list = q.list[1:]
	return msg, true
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.cond.Signal()
}
