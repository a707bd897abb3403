package xenstore

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/xentropyd/xentropyd/xenstore/internal/wire"
)

// Client is a connection to xenstored, or with WithReconnect a row of them. It
// serves any number of goroutines. Besides Store's methods it has watches,
// transactions and what concerns domains.
//
// A request whose context ends is given up: its reply is dropped when it comes,
// and what the daemon has made for it (a watch, a transaction) is taken back. A
// WRITE or RM given up may have been done.
type Client struct {
	ops
	opt  options
	dial DialFunc

	life context.Context // ends with Close
	stop context.CancelFunc
	wg   sync.WaitGroup // the supervisor

	mu        sync.Mutex
	cur       *conn         // nil while there is no connection
	last      *conn         // the latest, for Close to wait for
	ready     chan struct{} // closed while cur is set, and at the end
	ended     error         // set for good: closed, or lost without reconnection
	watches   map[string]*Watch
	lastToken uint64
}

// New makes a client of a connection that is there already. The client closes
// it. Close of rwc must end a Read or Write that another goroutine is in. It
// cannot reconnect: WithReconnect needs Dial.
func New(rwc io.ReadWriteCloser, opts ...Option) *Client {
	c := newClient(nil, opts)
	c.opt.reconnect = nil
	conn := c.newConn(rwc)
	c.cur, c.last = conn, conn
	close(c.ready)
	conn.start()
	return c
}

// Dial makes a client of the connection that dial returns, and with
// WithReconnect calls it again when that is lost.
func Dial(ctx context.Context, dial DialFunc, opts ...Option) (*Client, error) {
	rwc, err := dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to xenstored: %w", err)
	}
	c := newClient(dial, opts)
	conn := c.newConn(rwc)
	c.cur, c.last = conn, conn
	close(c.ready)
	conn.start()
	if c.opt.reconnect != nil {
		c.wg.Go(func() { c.supervise(conn) })
	}
	return c, nil
}

// Open connects to this machine's xenstored: WithAddress, or the first of
// $XENSTORED_PATH, /run/xenstored/socket, /var/run/xenstored/socket and
// /dev/xen/xenbus that answers.
func Open(ctx context.Context, opts ...Option) (*Client, error) {
	var o options
	for _, f := range opts {
		f(&o)
	}
	return Dial(ctx, dialer(o.address), opts...)
}

func newClient(dial DialFunc, opts []Option) *Client {
	c := &Client{dial: dial, ready: make(chan struct{}), watches: make(map[string]*Watch)}
	for _, f := range opts {
		f(&c.opt)
	}
	c.life, c.stop = context.WithCancel(context.Background())
	c.ops = ops{do: c.request}
	return c
}

func (c *Client) newConn(rwc io.ReadWriteCloser) *conn {
	return newConn(rwc, c.dispatch, c.lost)
}

// Close ends the client: requests under way and watches end with ErrClosed. It
// waits until the client's goroutines have ended, and may be called more than
// once.
func (c *Client) Close() error {
	c.stop()
	c.end(ErrClosed)
	c.wg.Wait()
	c.mu.Lock()
	last := c.last
	c.mu.Unlock()
	last.fail(ErrClosed)
	last.wait()
	return nil
}

// Err is nil while the client can be used, also while it reconnects, and then
// says why not.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended
}

// end makes the client unusable for good.
func (c *Client) end(err error) {
	c.mu.Lock()
	if c.ended != nil {
		c.mu.Unlock()
		return
	}
	c.ended = err
	cur := c.cur
	c.cur = nil
	if cur == nil {
		close(c.ready)
	}
	watches := c.watches
	c.watches = nil
	c.mu.Unlock()
	for _, w := range watches {
		w.end(err)
	}
	if cur != nil {
		cur.fail(err)
	}
}

// lost is told by a connection that it has failed.
func (c *Client) lost(conn *conn, err error) {
	c.mu.Lock()
	if c.cur != conn || c.ended != nil {
		c.mu.Unlock()
		return
	}
	c.cur = nil
	c.ready = make(chan struct{})
	c.mu.Unlock()
	if c.opt.reconnect == nil {
		c.end(err)
	}
}

// acquire gives the connection, and waits for one while there is none.
func (c *Client) acquire(ctx context.Context) (*conn, error) {
	for {
		c.mu.Lock()
		cur, ready, ended := c.cur, c.ready, c.ended
		c.mu.Unlock()
		switch {
		case ended != nil:
			return nil, ended
		case cur != nil:
			return cur, nil
		}
		select {
		case <-ready:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (c *Client) request(ctx context.Context, op wire.Op, path string, payload []byte) ([]byte, error) {
	conn, err := c.acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("xenstore %v %s: %w", op, path, err)
	}
	return conn.do(ctx, &call{op: op, path: path}, 0, payload)
}
