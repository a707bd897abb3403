//go:build !linux

package unixsock

import (
	"io"
	"net"
	"syscall"
	"time"
)

// LimitWakes is for Linux; here it gives what it gets.
func LimitWakes(c *net.UnixConn) (net.Conn, error) { return c, nil }

// Watch is for Linux; here it does nothing.
type Watch struct{}

// Add does nothing.
func (*Watch) Add(syscall.RawConn, func()) {}

// Remove does nothing.
func (*Watch) Remove(syscall.RawConn) {}

// Leaving is for Linux; here what nobody has read is not known.
type Leaving struct{}

// Close closes a connection.
func (*Leaving) Close(c io.Closer, _ time.Time, _ func(int), over func()) error {
	err := c.Close()
	over()
	return err
}

// Stop does nothing.
func (*Leaving) Stop() {}
