//go:build !linux

package local

import (
	"context"
	"fmt"
	"net"
	"runtime"

	"github.com/xentropyd/xentropyd/vchan"
)

// Listener takes guests; on this system there is none.
type Listener struct{}

func unsupported() error { return fmt.Errorf("%w, this is %s", ErrUnsupported, runtime.GOOS) }

func dial(context.Context, string) (*vchan.Conn, error) { return nil, unsupported() }

func listen(string, ListenOptions) (*Listener, error) { return nil, unsupported() }

// Accept gives ErrUnsupported.
func (l *Listener) Accept() (*vchan.Conn, Peer, error) { return nil, Peer{}, unsupported() }

// Close does nothing.
func (l *Listener) Close() error { return nil }

// Addr is nil.
func (l *Listener) Addr() net.Addr { return nil }
