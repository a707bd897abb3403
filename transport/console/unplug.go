package console

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/xentropyd/xentropyd/xenstore"
)

// Unplug takes the console out. The guest is asked first and has until ctx ends
// to agree, as a driver should; then the nodes are removed all the same, which
// Linux takes as well. What has taken our place in the front end stays. Any
// [Link] should have been closed. It is no error if everything was gone
// already.
//
// ctx bounds the asking; the removal has a time of its own (2 s).
func (d *Device) Unplug(ctx context.Context) error {
	d.ask(ctx)
	remove, cancel := withTime(ctx)
	defer cancel()
	if err := d.remove(remove); err != nil {
		return fmt.Errorf("unplug console %d of domain %d: %w", d.slot, d.cfg.Guest, err)
	}
	return nil
}

// ask has the guest close its end, if it has opened it.
func (d *Device) ask(ctx context.Context) {
	if f, err := d.Look(ctx); err != nil || !f.Ready() && f.State != Closing {
		return
	}
	w, err := d.cfg.Store.Watch(ctx, xenstore.Join(d.Front(), nodeState))
	if err != nil {
		return
	}
	defer func() { _ = w.Close() }()
	if d.SetState(ctx, Closing) != nil {
		return
	}
	for range askLooks {
		if _, err := w.Wait(ctx); err != nil {
			return
		}
		if f, err := d.Look(ctx); err != nil || f.State == Closed {
			break
		}
	}
	_ = d.SetState(ctx, Closed)
}

// askLooks bounds what a guest that flaps its state can cost.
const askLooks = 16

// remove takes away both ends. The front end comes first and by itself: a
// transaction with it could meet conflicts for as long as the guest likes, and
// the back end would stay.
func (d *Device) remove(ctx context.Context) error {
	whose, err := d.cfg.Store.Read(ctx, xenstore.Join(d.Front(), nodeBack))
	if err == nil && whose == d.back() {
		err = d.cfg.Store.Rm(ctx, d.Front())
	}
	if errors.Is(err, xenstore.ErrNotFound) {
		err = nil
	}
	return errors.Join(err, d.removeBack(ctx))
}

func (d *Device) removeBack(ctx context.Context) error {
	return d.cfg.change(ctx, func(tx *xenstore.Tx) error {
		if err := rm(ctx, tx, d.back()); err != nil {
			return err
		}
		others, err := tx.Directory(ctx, d.cfg.backs())
		if err == nil && len(others) == 0 {
			return rm(ctx, tx, d.cfg.backs())
		}
		if errors.Is(err, xenstore.ErrNotFound) {
			return nil
		}
		return err
	})
}

func rm(ctx context.Context, tx *xenstore.Tx, path string) error {
	if err := tx.Rm(ctx, path); err != nil && !errors.Is(err, xenstore.ErrNotFound) {
		return err
	}
	return nil
}

// Leftovers are the consoles that a predecessor, killed, left in a guest. They
// are to be unplugged: what was under way on them is lost, and the guest learns
// of it by the hang-up.
func Leftovers(ctx context.Context, cfg Config) ([]*Device, error) {
	names, err := cfg.Store.Directory(ctx, cfg.backs())
	if errors.Is(err, xenstore.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for consoles left in domain %d: %w", cfg.Guest, err)
	}
	var list []*Device
	for _, name := range names {
		if slot, err := strconv.Atoi(name); err == nil && slot >= firstSlot && slot <= lastSlot &&
			strconv.Itoa(slot) == name {
			list = append(list, &Device{cfg: cfg, slot: slot})
		}
	}
	return list, nil
}

// Forget removes the back ends of a guest that is gone.
func Forget(ctx context.Context, cfg Config) error {
	err := cfg.change(ctx, func(tx *xenstore.Tx) error { return rm(ctx, tx, cfg.backs()) })
	if err != nil {
		return fmt.Errorf("remove the consoles of domain %d, which is gone: %w", cfg.Guest, err)
	}
	return nil
}

// removeTime bounds the removal of nodes when xenstored does not answer.
const removeTime = 10 * time.Second

// withTime is for what must still be done when ctx has ended.
func withTime(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), removeTime)
}
