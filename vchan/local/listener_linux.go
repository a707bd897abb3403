package local

import (
	"context"
	"net"

	"github.com/xentropyd/xentropyd/vchan"
)

// Listener takes guests.
type Listener struct{}

func offer(context.Context, string, OfferOptions) (*vchan.Conn, error) { return nil, ErrUnsupported }
func listen(string, ListenOptions) (*Listener, error)                  { return nil, ErrUnsupported }

// Accept waits for the next guest whose offer was found good. The Conn is a
// vchan client, already connected. After Close it gives net.ErrClosed.
func (l *Listener) Accept() (*vchan.Conn, Peer, error) { return nil, Peer{}, ErrUnsupported }

// Close stops listening, removes the socket file if it is still ours, turns
// away who waits, and returns when all goroutines have ended. Channels that
// were accepted live on until they are closed.
func (l *Listener) Close() error { return nil }

// Addr is the socket's address.
func (l *Listener) Addr() net.Addr { return nil }
