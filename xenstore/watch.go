package xenstore

import (
	"context"
	"fmt"
	"strconv"
	"sync"

	"github.com/xentropyd/xentropyd/xenstore/internal/wire"
)

// maxPaths bounds the paths that a watch remembers between two looks (our
// choice).
const maxPaths = 64

// Watch tells of changes at a path and below it. An event means "look again"
// and no more: it fires once when it is set, may fire without a change, and
// events that nobody has taken yet are joined. A slow consumer holds nobody up
// and misses no last change.
//
//	for {
//		paths, err := w.Wait(ctx)
//		if err != nil { ... }
//		... look again ...
//	}
type Watch struct {
	client *Client
	path   string
	token  string
	conn   *conn // where it is set; under client.mu

	signal chan struct{}

	mu    sync.Mutex
	paths []string // since the last look, each once
	err   error
}

// Watch sets a watch on a path or on IntroduceDomain or ReleaseDomain.
// Unprivileged domains may have 128 of them by default, then the error is
// ErrQuota.
func (c *Client) Watch(ctx context.Context, path string) (*Watch, error) {
	if err := checkPath(path); err != nil {
		return nil, fmt.Errorf("xenstore WATCH: %w", err)
	}
	conn, err := c.acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("xenstore WATCH %s: %w", path, err)
	}
	w := &Watch{client: c, path: path, signal: make(chan struct{}, 1)}
	c.mu.Lock()
	if c.ended != nil {
		c.mu.Unlock()
		return nil, fmt.Errorf("xenstore WATCH %s: %w", path, c.ended)
	}
	// A token is never used twice: events of a watch that is gone find nobody.
	c.lastToken++
	w.token = strconv.FormatUint(c.lastToken, 10)
	c.watches[w.token] = w // before the request: the first event may overtake the reply
	c.mu.Unlock()

	unwatch := func() { conn.post(wire.Unwatch, path, 0, wire.Join(path, w.token)) }
	_, err = conn.do(ctx, &call{
		op: wire.Watch, path: path,
		// In the reader's goroutine, so that a connection lost right after has
		// the watch on its list.
		onReply: func(err error) {
			if err == nil {
				c.keep(w, conn)
			}
		},
		late: func([]byte) { unwatch() },
	}, 0, wire.Join(path, w.token))
	if err != nil {
		c.forget(w)
		return nil, err
	}
	return w, nil
}

// keep notes where a watch is set; false means that it has been closed.
func (c *Client) keep(w *Watch, conn *conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.watches[w.token] != w {
		return false
	}
	w.conn = conn
	return true
}

// forget takes a watch off the list and says where it is set, if it was on the
// list.
func (c *Client) forget(w *Watch) *conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.watches[w.token] != w {
		return nil
	}
	delete(c.watches, w.token)
	return w.conn
}

// dispatch brings an event to its watch. An unknown token is that of a watch
// just closed.
func (c *Client) dispatch(path, token string) {
	c.mu.Lock()
	w := c.watches[token]
	c.mu.Unlock()
	if w != nil {
		w.fire(path)
	}
}

func (w *Watch) fire(path string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return
	}
	w.add(path)
	select {
	case w.signal <- struct{}{}:
	default:
	}
}

func (w *Watch) add(path string) {
	for _, p := range w.paths {
		if p == path || p == w.path {
			return
		}
	}
	if path == w.path || len(w.paths) == maxPaths {
		w.paths = append(w.paths[:0], w.path) // says all that the others say
		return
	}
	w.paths = append(w.paths, path)
}

// Path is the watched path as it was given.
func (w *Watch) Path() string { return w.path }

// C receives after one or more events and is closed when the watch has ended:
// see Err. It is for select; Take then gives the paths. Use either C or Wait.
func (w *Watch) C() <-chan struct{} { return w.signal }

// Take gives the paths that changed since the last Take or Wait, each once. The
// watched path itself stands for everything below it too. Paths are relative if
// the watched one is.
func (w *Watch) Take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.paths
	w.paths = nil
	return p
}

// Wait waits for an event and gives the paths as Take does. It fails when ctx
// ends or the watch has ended: with ErrClosed after Close, else with what Err
// says.
func (w *Watch) Wait(ctx context.Context) ([]string, error) {
	for {
		select {
		case _, ok := <-w.signal:
			if !ok {
				return nil, fmt.Errorf("watch %s: %w", w.path, w.Err())
			}
		case <-ctx.Done():
			return nil, fmt.Errorf("watch %s: %w", w.path, ctx.Err())
		}
		if p := w.Take(); len(p) > 0 {
			return p, nil
		}
	}
}

// Err is nil while the watch is set (also while the client reconnects) and then
// says why it is not.
func (w *Watch) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

func (w *Watch) end(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return
	}
	w.err, w.paths = err, nil
	close(w.signal)
}

// Close ends the watch. It does not wait for the daemon, whose answer (ENOENT
// is one) changes nothing. The error is always nil.
func (w *Watch) Close() error {
	if conn := w.client.forget(w); conn != nil {
		conn.post(wire.Unwatch, w.path, 0, wire.Join(w.path, w.token))
	}
	w.end(ErrClosed)
	return nil
}
