//go:build !linux

package unixsock

import (
	"context"
	"net"
)

// Connect is a net.Dialer's DialContext.
func Connect(ctx context.Context, path string) (*net.UnixConn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	return c.(*net.UnixConn), nil
}
