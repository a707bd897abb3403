// Package all is the one list of carriers.
package all

import (
	"github.com/xentropyd/xentropyd/transport"
	"github.com/xentropyd/xentropyd/transport/console"
	"github.com/xentropyd/xentropyd/transport/local"
	"github.com/xentropyd/xentropyd/transport/unix"
	"github.com/xentropyd/xentropyd/transport/xen"
)

// Carriers is every carrier there is, in the order in which a guest looks for
// its host.
var Carriers = transport.Carriers{xen.Carrier, console.Carrier, local.Carrier, unix.Carrier}
