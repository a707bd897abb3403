//go:build !linux

package local

import (
	"context"
	"fmt"
	"runtime"

	"github.com/xentropyd/xentropyd/transport"
	"github.com/xentropyd/xentropyd/vchan"
)

func unsupported() error { return fmt.Errorf("%w, this is %s", ErrUnsupported, runtime.GOOS) }

func dial(context.Context, string) (*vchan.Conn, error) { return nil, unsupported() }

func listen(string, transport.ListenOptions) (transport.Listener, error) { return nil, unsupported() }
