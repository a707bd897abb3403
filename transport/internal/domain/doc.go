// Package domain is what a guest of Xen asks and watches of its own domain, for
// the carriers that end in one: its number, and who serves it.
package domain

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/xentropyd/xentropyd/transport"
	"github.com/xentropyd/xentropyd/xenstore"
)

// Guest says whether this is a guest of Xen, domain 0 not being one. It reads
// at most three small files; /sys must be mounted.
func Guest() bool { return guest("") }

func guest(root string) bool {
	read := func(path string) string {
		b, _ := os.ReadFile(root + path)
		return strings.TrimSpace(string(b))
	}
	if read("/sys/hypervisor/type") != "xen" {
		return false
	}
	// xenfs says it where it is mounted, newer kernels say it in sysfs too.
	return !strings.Contains(read("/proc/xen/capabilities"), "control_d") &&
		read("/sys/hypervisor/start_flags/initdomain") != "1"
}

// Opener connects to xenstore as this domain.
type Opener func(context.Context, ...xenstore.Option) (*xenstore.Client, error)

// Open is the Opener of this machine. It takes the kernel's device, not a
// daemon's socket: relative paths and the number are this domain's there.
func Open(ctx context.Context, opts ...xenstore.Option) (*xenstore.Client, error) {
	return xenstore.Open(ctx, append(opts, xenstore.WithAddress(xenstore.DevicePath))...)
}

// Number asks for the domain's number.
func Number(ctx context.Context, store *xenstore.Client) (uint16, error) {
	own, err := store.OwnDomID(ctx)
	if err != nil {
		return 0, fmt.Errorf("ask xenstore for this domain's number: %w", err)
	}
	return own, nil
}

// Where host and guest meet, relative to the guest's own part of xenstore.
const (
	Port         = "entropy"      // the last element of a vchan's path
	Announcement = "data/entropy" // that the host is here, with the two nodes below
	NodeInstance = "instance"     // the host's name of its run
	NodeArrival  = "arrival"      // changes when the host has met the domain anew

	nodeDomID = "domid"
)

// Instance is the host's, "" if there is none: an old host, or not yet.
func Instance(ctx context.Context, store *xenstore.Client) (string, error) {
	instance, err := store.Read(ctx, xenstore.Join(Announcement, NodeInstance))
	if errors.Is(err, xenstore.ErrNotFound) || errors.Is(err, xenstore.ErrPermission) {
		return "", nil
	}
	return instance, err
}

// RestoredError is the transport.ErrRestored of a domain. It is made without
// being written out, for which a restored guest has no time.
type RestoredError struct{ From, To uint16 }

func (e *RestoredError) Error() string {
	return fmt.Sprintf("domain %d became domain %d: %v", e.From, e.To, transport.ErrRestored)
}

func (e *RestoredError) Unwrap() error { return transport.ErrRestored }

// Reading is what xenstore said of the domain.
type Reading struct {
	Number   uint16
	Instance string // the host's; "" where the number is not the expected one
}

// Standing is what a channel was made in.
type Standing struct {
	Own   uint16 // the domain's number
	Taken bool   // the host has the channel

	// Instance is the host's, as announced when it took the channel; "" while
	// it has not announced any.
	Instance string
}

// Compare says why the channel is to be ended: a *[RestoredError], or
// transport.ErrHostChanged. What it learns of the host it remembers.
func (s *Standing) Compare(r Reading) error {
	switch {
	case r.Number != s.Own:
		return &RestoredError{From: s.Own, To: r.Number}
	case r.Instance == "":
	case s.Taken && s.Instance != "" && r.Instance != s.Instance:
		return transport.ErrHostChanged
	default:
		s.Instance = r.Instance
	}
	return nil
}
