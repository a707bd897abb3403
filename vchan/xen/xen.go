package xen

import (
	"errors"
	"fmt"

	"github.com/xentropyd/xentropyd/internal/xendev"
	"github.com/xentropyd/xentropyd/vchan/ring"
	"github.com/xentropyd/xentropyd/xenstore"
)

// DefaultOrders keep a channel in one page. The left ring, from client to
// server, is the larger one: the guest offers, and entropy flows from host to
// guest.
var DefaultOrders = ring.Orders{Left: 11, Right: 10}

var (
	// ErrStale is an offer whose server is gone: nodes that a killed server
	// left behind, or an offer that was taken back meanwhile. A new one may
	// come under the same path.
	ErrStale = errors.New("the offer is stale, its server is gone")

	// ErrOrder is an offer of rings larger than ConnectOptions allow.
	ErrOrder = errors.New("the offered rings are larger than allowed")

	// ErrUnsupported is given on systems that have no Xen devices.
	ErrUnsupported = xendev.ErrUnsupported
)

// Path is where libxenvchan's users meet by convention:
// /local/domain/<server>/data/vchan/<client>/<port>. Port is [a-zA-Z0-9_-]+.
// Offer and Connect take any path.
func Path(server, client uint16, port string) (string, error) {
	if !xenstore.ValidPort(port) {
		return "", fmt.Errorf("vchan port %q: only letters, digits, - and _ are allowed: %w", port, xenstore.ErrInvalid)
	}
	return xenstore.Join(xenstore.DomainPath(server), "data", "vchan", fmt.Sprint(client), port), nil
}

// OfferOptions are a server's wishes; the zero value is good.
type OfferOptions struct {
	Orders ring.Orders // zero: DefaultOrders

	// Own is the number of this domain, if the caller knows it: 0 has Offer ask
	// xenstore.
	Own uint16

	// Fresh says that nobody has offered anything at the path before: it is
	// below a domain that has just got its number. The nodes are then written
	// one by one, the reference last, which takes half the requests of a
	// transaction.
	Fresh bool

	// Port, if not nil, is the event channel to use, which stays when the Conn
	// ends: for a domain that may be saved and restored. It must be Usable.
	// System is not used then.
	Port *Port

	// Keep, if not nil, is asked at the end whether the path is to be left
	// alone: after a restore it is in the part of a domain that is no more.
	Keep func() bool

	// System is for tests; nil is this machine.
	System xendev.System
}

// ConnectOptions are a client's rules; the zero value is good.
type ConnectOptions struct {
	// MaxOrder is the largest ring order that a server may bring; zero
	// means 20. One channel maps at most 4096 + 2 * 2^MaxOrder bytes.
	MaxOrder uint16

	// System is for tests; nil is this machine.
	System xendev.System
}

// spin is Config.Spin: a peer in another domain has CPUs of its own, however
// few are ours, and to be woken by an event takes as long as some ten thousand
// looks. That holds on a machine as well as in an emulator, which slows both
// down.
const spin = 50_000

// Where the liveness bytes are in the shared page (struct vchan_interface of
// xen/io/libxenvchan.h), bytes from its start.
const (
	offCliLive = 20
	offSrvLive = 21
)

// The nodes below the path of an offer.
const (
	nodeRing = "ring-ref"
	nodePort = "event-channel"
)
