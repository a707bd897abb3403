package xenstore

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/xentropyd/xentropyd/xenstore/internal/wire"
)

// maxInFlight bounds the requests of one connection that wait for a reply,
// abandoned ones included, and so the memory that a daemon which never answers
// can cost.
const maxInFlight = 256

// requestError is implemented by transports whose Write may refuse one request
// and stay usable: /dev/xen/xenbus answers some requests with an errno. ok is
// false when the error concerns the connection itself.
type requestError interface {
	requestError(err error) (name string, ok bool)
}

// call is one request. Its fields after done are written before done is closed.
type call struct {
	op      wire.Op
	path    string
	msg     []byte
	slot    bool        // holds a place of maxInFlight
	onReply func(error) // run before done is closed, by whoever brings the result
	late    func([]byte)

	abandoned bool // under conn.mu: nobody waits
	withdrawn bool // given up before it was written; read by the one that gave it up

	done  chan struct{}
	reply []byte
	err   error
}

// conn is one connection: a reader and a writer goroutine over one stream. It
// lives until its first error.
type conn struct {
	rwc     io.ReadWriteCloser
	limit   int  // bytes of payload
	single  bool // one request at a time: see Limited
	onEvent func(path, token string)
	onLost  func(*conn, error)

	slots chan struct{}
	wake  chan struct{} // something is in queue
	turn  chan struct{} // a call was answered or given up
	done  chan struct{} // closed by fail
	wg    sync.WaitGroup

	mu      sync.Mutex
	err     error
	pending map[uint32]*call
	queue   []uint32 // ids in pending that are still to be written
	lastID  uint32
}

func newConn(rwc io.ReadWriteCloser, onEvent func(path, token string), onLost func(*conn, error)) *conn {
	c := &conn{
		rwc: rwc, limit: wire.MaxPayload, onEvent: onEvent, onLost: onLost,
		slots:   make(chan struct{}, maxInFlight),
		wake:    make(chan struct{}, 1),
		turn:    make(chan struct{}, 1),
		done:    make(chan struct{}),
		pending: make(map[uint32]*call),
	}
	if l, ok := rwc.(Limited); ok {
		c.limit, c.single = min(l.MaxPayload(), wire.MaxPayload), l.OneAtATime()
	}
	return c
}

// start begins to read and write; wait ends after fail has been called and both
// have stopped.
func (c *conn) start() {
	c.wg.Go(c.readLoop)
	c.wg.Go(c.writeLoop)
}

func (c *conn) wait() { c.wg.Wait() }

// fail ends the connection: the first error stays, all that wait are told.
func (c *conn) fail(err error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err = err
	calls := c.pending
	c.pending, c.queue = nil, nil
	c.mu.Unlock()
	close(c.done)
	_ = c.rwc.Close()
	// Before the calls end, so that whoever tries again finds no dead
	// connection.
	c.onLost(c, err)
	for _, k := range calls {
		k.finish(nil, fmt.Errorf("xenstore %v %s: %w", k.op, k.path, err))
	}
}

func (k *call) finish(reply []byte, err error) {
	k.reply, k.err = reply, err
	if k.onReply != nil {
		k.onReply(err)
	}
	close(k.done)
}

// submit queues a call. It does not wait.
func (c *conn) submit(k *call, tx uint32, payload []byte) error {
	k.done = make(chan struct{})
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return c.err
	}
	for c.lastID++; c.lastID == 0 || c.pending[c.lastID] != nil; c.lastID++ {
	}
	k.msg = wire.Message(k.op, c.lastID, tx, payload)
	c.pending[c.lastID] = k
	c.queue = append(c.queue, c.lastID)
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
	return nil
}

// post sends a request whose result nobody needs: it tidies up what an
// abandoned call or an abandoned transaction left behind in the daemon.
func (c *conn) post(op wire.Op, path string, tx uint32, payload []byte) {
	_ = c.submit(&call{op: op, path: path, abandoned: true}, tx, payload)
}

// do sends a request and waits for its reply.
func (c *conn) do(ctx context.Context, k *call, tx uint32, payload []byte) ([]byte, error) {
	if len(payload) > c.limit {
		return nil, fmt.Errorf("xenstore %v %s: payload of %d bytes is over the limit of %d: %w",
			k.op, k.path, len(payload), c.limit, ErrTooBig)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("xenstore %v %s: %w", k.op, k.path, err)
	}
	select {
	case c.slots <- struct{}{}:
		k.slot = true
	case <-ctx.Done():
		return nil, fmt.Errorf("xenstore %v %s: %w", k.op, k.path, ctx.Err())
	case <-c.done:
	}
	if err := c.submit(k, tx, payload); err != nil {
		return nil, fmt.Errorf("xenstore %v %s: %w", k.op, k.path, err)
	}
	select {
	case <-k.done:
	case <-ctx.Done():
		if c.abandon(k) {
			return nil, fmt.Errorf("xenstore %v %s: %w", k.op, k.path, ctx.Err())
		}
		<-k.done // the reply has just been taken
	}
	return k.reply, k.err
}

// abandon gives a call up; false means that its result is there or on its way
// to done. A call that was not written yet is taken back, for the others the
// reply will be dropped when it comes.
func (c *conn) abandon(k *call) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	id := wire.Parse(k.msg).Req
	if c.pending[id] != k {
		return false
	}
	for i, q := range c.queue {
		if q == id {
			c.queue = append(c.queue[:i], c.queue[i+1:]...)
			delete(c.pending, id)
			c.release(k)
			k.withdrawn = true
			return true
		}
	}
	k.abandoned = true
	c.moved()
	return true
}

func (c *conn) release(k *call) {
	if k.slot {
		<-c.slots
	}
}

// take removes a call whose result has come.
func (c *conn) take(id uint32) (k *call, abandoned bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k = c.pending[id]
	if k == nil {
		return nil, false
	}
	delete(c.pending, id)
	c.release(k)
	c.moved()
	return k, k.abandoned
}

// complete hands a result over, or cleans up after a call that nobody waits
// for.
func (c *conn) complete(k *call, abandoned bool, reply []byte, err error) {
	switch {
	case !abandoned:
		k.finish(reply, err)
	case k.late != nil && err == nil:
		k.late(reply)
	}
}

func (c *conn) writeLoop() {
	for {
		c.mu.Lock()
		var msg []byte
		var id uint32
		if len(c.queue) > 0 {
			id, c.queue = c.queue[0], c.queue[1:]
			msg = c.pending[id].msg
		}
		c.mu.Unlock()
		if msg == nil {
			select {
			case <-c.wake:
				continue
			case <-c.done:
				return
			}
		}
		// One write for header and payload: the kernel's device wants them
		// together.
		if _, err := c.rwc.Write(msg); err != nil {
			if !c.refused(id, err) {
				c.fail(disconnected(fmt.Errorf("write: %w", err)))
				return
			}
		}
		if c.single && !c.answered(id) {
			return
		}
	}
}

// refused deals with a write error that is the answer to one request.
func (c *conn) refused(id uint32, err error) bool {
	r, ok := c.rwc.(requestError)
	if !ok {
		return false
	}
	name, ok := r.requestError(err)
	if !ok {
		return false
	}
	if k, abandoned := c.take(id); k != nil {
		c.complete(k, abandoned, nil, &Error{Op: k.op.String(), Path: k.path, Name: name})
	}
	return true
}

func (c *conn) readLoop() {
	r := bufio.NewReaderSize(c.rwc, wire.HeaderSize+wire.MaxPayload)
	for {
		h, payload, err := wire.Next(r, c.replyLimit)
		if err == nil {
			err = c.handle(h, payload)
		}
		if err == nil {
			continue
		}
		var long *wire.LengthError
		switch {
		case errors.As(err, &long):
			err = &ProtocolError{Place: "header of " + place(h), Problem: long.Error()}
		case err == io.EOF:
			err = fmt.Errorf("xenstored closed it: %w", err)
		case err == io.ErrUnexpectedEOF:
			err = fmt.Errorf("xenstored closed it inside a message: %w", err)
		}
		c.fail(disconnected(err))
		return
	}
}

// replyLimit is how many bytes of payload a message may have. The protocol says
// 4096, but oxenstored (4.17) answers DIRECTORY over a socket in one piece of
// any length and knows no DIRECTORY_PART: a reply to a DIRECTORY that somebody
// waits for may be longer.
func (c *conn) replyLimit(h wire.Header) int {
	if h.Op != wire.Directory || h.Len <= wire.MaxPayload {
		return wire.MaxPayload
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.pending[h.Req]; k != nil && k.op == wire.Directory {
		return maxDirectory
	}
	return wire.MaxPayload
}

func place(h wire.Header) string {
	if h.Op == wire.WatchEvent {
		return "watch event"
	}
	return fmt.Sprintf("reply %d (%v)", h.Req, h.Op)
}

// handle takes one message from the daemon. An error ends the connection.
func (c *conn) handle(h wire.Header, payload []byte) error {
	if h.Op == wire.WatchEvent {
		// Request and transaction id should be 0, but Linux leaves them unset
		// in the device's events.
		list, ok := wire.Strings(payload)
		if !ok || len(list) != 2 || list[0] == "" {
			return &ProtocolError{
				Place:   "watch event",
				Problem: "payload is not a path and a token, each ended by a NUL",
			}
		}
		c.onEvent(list[0], list[1])
		return nil
	}
	k, abandoned := c.take(h.Req)
	if k == nil {
		return &ProtocolError{Place: place(h), Problem: "no request has that id"}
	}
	reply, err := c.interpret(k, h, payload)
	if err != nil {
		var own *Error
		if !errors.As(err, &own) {
			// It is no longer among the pending ones that fail will tell.
			c.complete(k, abandoned, nil, fmt.Errorf("xenstore %v %s: %w", k.op, k.path, disconnected(err)))
			return err
		}
	}
	c.complete(k, abandoned, reply, err)
	return nil
}

// interpret tells a good reply, an error of the daemon and a breach of the
// protocol apart.
func (c *conn) interpret(k *call, h wire.Header, payload []byte) ([]byte, error) {
	switch h.Op {
	case wire.Error:
		list, ok := wire.Strings(payload)
		if !ok || len(list) != 1 || !errorName(list[0]) {
			return nil, &ProtocolError{
				Place:   fmt.Sprintf("reply %d (ERROR to %v)", h.Req, k.op),
				Problem: "payload is not the name of an error ended by a NUL",
			}
		}
		return nil, &Error{Op: k.op.String(), Path: k.path, Name: list[0]}
	case k.op:
		if problem := checkReply(k.op, payload); problem != "" {
			return nil, &ProtocolError{Place: place(h), Problem: problem}
		}
		return payload, nil
	}
	return nil, &ProtocolError{Place: place(h), Problem: fmt.Sprintf("the request with that id was %v", k.op)}
}
