package xen

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"

	"github.com/xentropyd/xentropyd/internal/xendev"
	"github.com/xentropyd/xentropyd/transport"
	"github.com/xentropyd/xentropyd/transport/internal/domain"
	"github.com/xentropyd/xentropyd/transport/xen/internal/discovery"
	"github.com/xentropyd/xentropyd/xenstore"
)

const scheme = "xen"

// Carrier is the vchan between two domains.
var Carrier = &transport.Carrier{
	Scheme:  scheme,
	Form:    "[DOMID-OF-HOST]",
	Check:   check,
	Dial:    dial,
	Waits:   true,
	Find:    find,
	Missing: missing,
	Cure:    cure,
	Process: process{},
	Listen:  listen,
	Usual:   discovery.Host,
	Config:  func() transport.Config { c := DefaultConfig(); return &c },
}

// Config is the carrier's table of the host's configuration.
type Config = discovery.Config

// DefaultConfig serves all guests.
func DefaultConfig() Config { return discovery.DefaultConfig() }

func check(path string) (int, string) {
	if path == "" {
		return 0, ""
	}
	for i := range len(path) {
		if path[i] < '0' || path[i] > '9' {
			return i, "want the number of the host's domain; use xen: for domain 0"
		}
	}
	if n, err := strconv.ParseUint(path, 10, 16); err != nil || n > xenstore.MaxDomID {
		return 0, fmt.Sprintf("no domain has a number over %d", xenstore.MaxDomID)
	}
	if len(path) > 1 && path[0] == '0' {
		return 0, "a number does not begin with 0"
	}
	return 0, ""
}

// thisMachine and this are the process's.
var (
	thisMachine = &machine{opener: domain.Open, lock: xendev.GntallocPath, ports: new(ports), timing: domain.Usual}
	this        = newAttachment(thisMachine, usual)
)

// Dialer offers a channel to a host's domain, mostly 0, and waits until the
// host takes it. What was offered is taken back if it does not come. A process
// has one channel at a time: a further dial, and that of another process of
// this guest, gives transport.ErrBusy.
func Dialer(host uint16) transport.Dialer {
	return func(ctx context.Context) (transport.Conn, error) {
		c, err := this.dial(ctx, host)
		if err != nil {
			return nil, err
		}
		return c, nil
	}
}

func dial(ctx context.Context, path string) (transport.Conn, error) {
	host, _ := strconv.ParseUint("0"+path, 10, 16) // checked before
	return Dialer(uint16(host))(ctx)
}

// find gives domain 0, in a guest that has the devices.
func find(context.Context) (string, error) {
	if !domain.Guest() {
		return "", transport.ErrNotHere
	}
	return "", domain.MissingError(domain.Missing())
}

func missing() []transport.Device {
	if !domain.Guest() {
		return nil
	}
	return domain.Missing()
}

func cure(err error) string {
	switch {
	case errors.Is(err, transport.ErrBusy):
		return "entropy-guest run may have the channel: stop it, or give --host console: where the host plugs " +
			"consoles too"
	case errors.Is(err, fs.ErrPermission):
		return "run it as root: the devices below /dev/xen and the consoles are root's"
	}
	return "see in domain 0 whether xentropyd runs and what xentropyd status says of this guest, or give another --host"
}
