//go:build !linux

package unix

import (
	"fmt"
	"runtime"

	"github.com/xentropyd/xentropyd/transport"
	"github.com/xentropyd/xentropyd/transport/internal/socket"
)

// Listen gives socket.ErrUnsupported.
func Listen(string, transport.ListenOptions) (transport.Listener, error) {
	return nil, fmt.Errorf("%w, this is %s", socket.ErrUnsupported, runtime.GOOS)
}
