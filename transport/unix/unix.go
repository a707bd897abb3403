// Package unix carries the stream over a plain Unix socket, for whoever cannot
// take descriptors and so not the memory that package local hands over: a guest
// in a sandbox, or a program in another language. Each seed costs some more
// system calls than there.
//
// Who may connect, how often, and what is kept of a user is bounded as in
// package local.
package unix

import (
	"context"
	"fmt"

	"github.com/xentropyd/xentropyd/internal/unixsock"
	"github.com/xentropyd/xentropyd/transport"
	"github.com/xentropyd/xentropyd/transport/internal/socket"
)

const scheme = "unix"

// Carrier is the stream socket.
var Carrier = &transport.Carrier{
	Scheme: scheme,
	Form:   "/PATH/OF/SOCKET",
	Check:  func(path string) (int, string) { return socket.Check(scheme, path) },
	Dial:   Dial,
	Cure:   socket.Cure,
	Listen: Listen,
	File:   func(path string) string { return path },
}

// Dial connects to the host that listens on path. The context bounds the
// dialling only.
func Dial(ctx context.Context, path string) (transport.Conn, error) {
	c, err := unixsock.Connect(ctx, path)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, fmt.Errorf("connect to the host: %w", err)
	}
	return c, nil
}

// Dialer dials path.
func Dialer(path string) transport.Dialer {
	return func(ctx context.Context) (transport.Conn, error) { return Dial(ctx, path) }
}
