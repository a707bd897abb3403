// Package all is the one list of carriers, and reaches a host at an address.
package all

import (
	"context"
	"fmt"

	"github.com/xentropyd/xentropyd/transport"
	"github.com/xentropyd/xentropyd/transport/console"
	"github.com/xentropyd/xentropyd/transport/local"
	"github.com/xentropyd/xentropyd/transport/unix"
	"github.com/xentropyd/xentropyd/transport/xen"
)

// Carriers is every carrier there is, in the order in which a guest looks for
// its host.
var Carriers = transport.Carriers{xen.Carrier, console.Carrier, local.Carrier, unix.Carrier}

// Dialer reaches the host at an address, such as "xen:" or
// "local:/run/xentropyd/local.sock". It touches nothing before it is called; an
// error is about the address, and wraps transport.ErrAddress.
func Dialer(address string) (transport.Dialer, error) {
	a, c, err := Carriers.Parse(address)
	if err != nil {
		return nil, err
	}
	if c.Dial == nil {
		return nil, fmt.Errorf("%w: %q is an address for a host", transport.ErrAddress, address)
	}
	return func(ctx context.Context) (transport.Conn, error) {
		conn, err := c.Dial(ctx, a.Path)
		if err != nil {
			return nil, fmt.Errorf("dial %s: %w", a, err)
		}
		return conn, nil
	}, nil
}
