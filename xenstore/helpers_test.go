package xenstore

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/xenstore/internal/wire"
)

// peer is the far end of a client's connection, played by a test.
type peer struct {
	t    *testing.T
	conn net.Conn
}

// play runs f as the far end of the connection that it gives.
func play(t *testing.T, f func(p *peer)) net.Conn {
	ours, theirs := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(&peer{t, ours})
	}()
	t.Cleanup(func() {
		_ = ours.Close()
		<-done
	})
	return theirs
}

// scripted makes a client whose daemon is f.
func scripted(t *testing.T, f func(p *peer), opts ...Option) *Client {
	c := New(play(t, f), opts...)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

// next reads a request; ok is false when the client has gone.
func (p *peer) next() (h wire.Header, payload string, ok bool) {
	h, b, err := wire.Next(p.conn, nil)
	return h, string(b), err == nil
}

func (p *peer) send(b []byte) { _, _ = p.conn.Write(b) }

func (p *peer) reply(h wire.Header, payload string) {
	p.send(wire.Message(h.Op, h.Req, h.Tx, []byte(payload)))
}

func (p *peer) fail(h wire.Header, name string) {
	p.send(wire.Message(wire.Error, h.Req, h.Tx, wire.Join(name)))
}

// drain takes what comes until the client goes.
// How long a test waits for what must happen; nothing is measured by it.
const (
	waitFor = 30 * time.Second
	tick    = time.Millisecond
)

func (p *peer) drain() { _, _ = io.Copy(io.Discard, p.conn) }
