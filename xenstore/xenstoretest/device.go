package xenstoretest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/xentropyd/xentropyd/xenstore"
	"github.com/xentropyd/xentropyd/xenstore/internal/wire"
)

// ErrOverlap is what Write fails with when a connection of DeviceDialer gets a
// request before the one before was answered.
var ErrOverlap = errors.New("xenstoretest: a request before the one before was answered: the kernel's device would " +
	"send neither as it was")

// DeviceDialer makes connections to the server as the kernel's device
// /dev/xen/xenbus gives them to a domain: a request has at most MaxPayload-16
// bytes, and there is one at a time. A client that does not keep to that is
// found out: the write fails (ErrOverlap), and the connection with it.
func (s *Server) DeviceDialer(domid uint16) xenstore.DialFunc {
	return func(ctx context.Context) (io.ReadWriteCloser, error) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		ours, theirs := net.Pipe()
		d := &device{Conn: theirs}
		if err := s.serve(ours, domid, d); err != nil {
			_ = theirs.Close()
			return nil, err
		}
		return d, nil
	}
}

// device is the client's end of a connection.
type device struct {
	net.Conn

	mu   sync.Mutex
	busy bool // a request is not answered yet
}

var _ xenstore.Limited = (*device)(nil)

// MaxPayload implements xenstore.Limited.
func (*device) MaxPayload() int { return wire.MaxPayload - wire.HeaderSize }

// OneAtATime implements xenstore.Limited.
func (*device) OneAtATime() bool { return true }

// Write takes one whole request.
func (d *device) Write(msg []byte) (int, error) {
	if n := len(msg); n < wire.HeaderSize || n > wire.MaxPayload || int(wire.Parse(msg).Len) != n-wire.HeaderSize {
		_ = d.Close()
		return 0, fmt.Errorf("xenstoretest: %d bytes in one write are not one request that the kernel's device takes",
			n)
	}
	d.mu.Lock()
	busy := d.busy
	d.busy = true
	d.mu.Unlock()
	if busy {
		_ = d.Close()
		return 0, ErrOverlap
	}
	return d.Conn.Write(msg)
}

func (d *device) answered() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.busy = false
}
