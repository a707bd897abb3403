package xenstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/xentropyd/xentropyd/internal/wait"
	"github.com/xentropyd/xentropyd/xenstore/internal/wire"
)

// supervise replaces each lost connection by a new one until the client ends.
func (c *Client) supervise(cur *conn) {
	p := c.opt.reconnect
	delay, failures := p.Delay, 0
	since := time.Now()
	for {
		<-cur.done
		cur.wait()
		if c.life.Err() != nil {
			return
		}
		reason := disconnected(cur.err)
		p.Notify(reason)
		if time.Since(since) > p.MaxDelay {
			delay, failures = p.Delay, 0
		}
		for {
			if p.Attempts > 0 && failures >= p.Attempts {
				c.end(fmt.Errorf("gave up after %d attempts to reconnect: %w", failures, disconnected(reason)))
				return
			}
			if !wait.For(c.life, jitter(delay)) {
				return
			}
			delay = min(2*delay, p.MaxDelay)
			failures++
			next, err := c.redial()
			if err == nil {
				cur, since = next, time.Now()
				break
			}
			if c.life.Err() != nil {
				return
			}
			reason = err
			p.Notify(err)
		}
		p.Notify(nil)
	}
}

// redial makes a connection, sets the watches again, and only then lets
// requests use it.
func (c *Client) redial() (*conn, error) {
	ctx, cancel := context.WithTimeout(c.life, c.opt.reconnect.Timeout)
	defer cancel()
	rwc, err := c.dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to xenstored: %w", err)
	}
	conn := c.newConn(rwc)
	conn.start()
	restored, err := c.restore(ctx, conn)
	if err == nil {
		err = c.publish(conn)
	}
	if err != nil {
		conn.fail(disconnected(err))
		conn.wait()
		return nil, err
	}
	// Only now: whoever looks again must find a connection to look with.
	for _, w := range restored {
		w.fire(w.path)
	}
	return conn, nil
}

// restore sets on a new connection the watches that were set on the one before.
func (c *Client) restore(ctx context.Context, conn *conn) ([]*Watch, error) {
	c.mu.Lock()
	var list []*Watch
	for _, w := range c.watches {
		if w.conn != nil {
			list = append(list, w)
		}
	}
	c.mu.Unlock()
	for _, w := range list {
		_, err := conn.do(ctx, &call{op: wire.Watch, path: w.path}, 0, wire.Join(w.path, w.token))
		var refused *Error
		switch {
		case errors.As(err, &refused):
			c.forget(w)
			w.end(fmt.Errorf("set watch again: %w", err))
		case err != nil:
			return nil, err
		case !c.keep(w, conn):
			conn.post(wire.Unwatch, w.path, 0, wire.Join(w.path, w.token)) // closed meanwhile
		}
	}
	return list, nil
}

// publish makes the connection the current one.
func (c *Client) publish(conn *conn) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended != nil {
		return c.ended
	}
	select {
	case <-conn.done:
		return conn.err
	default:
	}
	c.cur, c.last = conn, conn
	close(c.ready)
	return nil
}

// jitter spreads d over d/2 to 3d/2, so that many clients of one daemon do not
// come at once.
func jitter(d time.Duration) time.Duration {
	return d/2 + rand.N(d+1)
}
