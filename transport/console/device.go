package console

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/xentropyd/xentropyd/internal/xendev"
	"github.com/xentropyd/xentropyd/xenstore"
)

// Name is the channel's name, by which the guest finds it: MirageOS's.
const Name = "org.openmirage.entropy.1"

// BackType is the type of our back ends, the directory below
// /local/domain/<own>/backend.
const BackType = "entropy"

// Linux's hvc_xen takes the console's number from the last character of the
// node's name, and refuses 0.
const (
	firstSlot = 1
	lastSlot  = 9
)

// Config is where a console is to be.
type Config struct {
	Store *xenstore.Client // a privileged domain's, or one that may write to both ends
	Own   uint16           // the back end's domain, our own
	Guest uint16

	// Turn, if not nil, is a channel of capacity 1 that is full during each try
	// of a transaction that makes or removes nodes. Those who plug many
	// consoles at once share one: to xenstored all that change the same
	// directory are in conflict.
	Turn chan struct{}

	// System is for tests; nil is this machine.
	System xendev.System
}

// change is a transaction in turn.
func (c Config) change(ctx context.Context, f func(*xenstore.Tx) error) error {
	return c.Store.TransactionInTurn(ctx, c.Turn, f)
}

func (c Config) domain() string { return xenstore.DomainPath(c.Guest) }

func (c Config) front(slot int) string {
	return xenstore.Join(c.domain(), "device", "console", strconv.Itoa(slot))
}

func (c Config) backs() string {
	return xenstore.Join(BackPath(c.Own), strconv.Itoa(int(c.Guest)))
}

func (c Config) back(slot int) string { return xenstore.Join(c.backs(), strconv.Itoa(slot)) }

// BackPath is where the back ends of a domain are, a directory for each guest
// by its number.
func BackPath(own uint16) string {
	return xenstore.Join(xenstore.DomainPath(own), "backend", BackType)
}

// Device is one console in one guest. Its methods may be called from any
// goroutine.
type Device struct {
	cfg  Config
	slot int
}

// Plug puts a console into a guest, at the first number that is free. The guest
// may be running, or not have begun to.
func Plug(ctx context.Context, cfg Config) (*Device, error) {
	d := &Device{cfg: cfg}
	err := cfg.change(ctx, func(tx *xenstore.Tx) error {
		if _, err := tx.Read(ctx, cfg.domain()); errors.Is(err, xenstore.ErrNotFound) {
			return ErrGone // and is not to be made anew by us; if it goes now, the transaction fails
		} else if err != nil {
			return err
		}
		var err error
		if d.slot, err = freeSlot(ctx, tx, cfg); err != nil {
			return err
		}
		return d.write(ctx, tx)
	})
	if err != nil {
		return nil, fmt.Errorf("plug a console into domain %d: %w", cfg.Guest, err)
	}
	return d, nil
}

func freeSlot(ctx context.Context, tx *xenstore.Tx, cfg Config) (int, error) {
	for slot := firstSlot; slot <= lastSlot; slot++ {
		if _, err := tx.Read(ctx, cfg.front(slot)); errors.Is(err, xenstore.ErrNotFound) {
			return slot, nil
		} else if err != nil {
			return 0, err
		}
	}
	return 0, ErrNoSlot
}

// node is one name and its value.
type node struct{ name, value string }

// write makes both ends as libxl does for a device: each owned by its domain
// and readable by the other.
func (d *Device) write(ctx context.Context, tx *xenstore.Tx) error {
	own, guest := d.cfg.Own, d.cfg.Guest
	front := []node{
		{nodeBack, d.back()},
		{"backend-id", strconv.Itoa(int(own))},
		{"protocol", "vt100"},
		{"name", Name},
		{"type", BackType},
		{"limit", "1048576"}, // what xenconsoled would buffer, bytes (libxl)
		{"output", "none"},
		{"tty", ""},
		{nodeState, digit(Initialising)},
	}
	back := []node{
		{"frontend", d.Front()},
		{"frontend-id", strconv.Itoa(int(guest))},
		{"online", "1"},
		{"protocol", "vt100"},
		{"name", Name},
		{nodeState, digit(InitWait)},
	}
	if err := writeEnd(ctx, tx, d.back(), back, own, guest); err != nil {
		return err
	}
	return writeEnd(ctx, tx, d.Front(), front, guest, own)
}

func writeEnd(ctx context.Context, tx *xenstore.Tx, path string, nodes []node, owner, reader uint16) error {
	// What a predecessor left below a back end is not to stay.
	if err := tx.Rm(ctx, path); err != nil && !errors.Is(err, xenstore.ErrNotFound) {
		return err
	}
	if err := tx.Mkdir(ctx, path); err != nil {
		return err
	}
	perms := []xenstore.Perm{{DomID: owner, Access: xenstore.AccessNone}, {DomID: reader, Access: xenstore.AccessRead}}
	if err := tx.SetPerms(ctx, path, perms...); err != nil {
		return err
	}
	for _, n := range nodes { // they inherit the permissions
		if err := tx.Write(ctx, xenstore.Join(path, n.name), n.value); err != nil {
			return err
		}
	}
	return nil
}

func digit(s State) string { return strconv.Itoa(int(s)) }

// Slot is the console's number: Linux calls it /dev/hvc<Slot> unless that one
// is taken.
func (d *Device) Slot() int { return d.slot }

// Front is the path of the front end, to be watched.
func (d *Device) Front() string { return d.cfg.front(d.slot) }

func (d *Device) back() string { return d.cfg.back(d.slot) }

// Look says how the guest's end stands. ErrTaken is one that is not ours any
// more, a *xenstore.NodeError one with junk in it.
func (d *Device) Look(ctx context.Context) (Front, error) {
	f, err := look(ctx, d.cfg.Store, d.Front(), d.back())
	if err != nil {
		return Front{}, fmt.Errorf("look at console %d of domain %d: %w", d.slot, d.cfg.Guest, err)
	}
	return f, nil
}

// SetState sets the state of our end, which must not have been removed.
func (d *Device) SetState(ctx context.Context, s State) error {
	path := xenstore.Join(d.back(), nodeState)
	err := d.cfg.Store.Transaction(ctx, func(tx *xenstore.Tx) error {
		old, err := tx.Read(ctx, path)
		if err != nil || old == digit(s) {
			return err
		}
		return tx.Write(ctx, path, digit(s))
	})
	if err != nil {
		return fmt.Errorf("set the state of console %d of domain %d to %d: %w", d.slot, d.cfg.Guest, s, err)
	}
	return nil
}
