package xen

import (
	"context"
	"errors"
	"fmt"

	"github.com/xentropyd/xentropyd/transport"
)

// dial offers a channel and waits for the host as long as ctx allows. What was
// offered is taken back if it does not come.
func (a *attachment) dial(ctx context.Context, host uint16) (*conn, error) {
	if err := a.begin(ctx, host); err != nil {
		return nil, err
	}
	c := &conn{channel: a.cur, a: a} // nobody but us replaces cur
	for {
		err := a.wait(ctx, host)
		if err == nil {
			err = a.hostCame(ctx)
		} else if errors.Is(err, errDoubted) {
			if err = a.offerAnew(ctx, host); err == nil {
				c.channel = a.cur
				continue
			}
		}
		if err != nil {
			_ = c.Close()
			return nil, err
		}
		return c, nil
	}
}

// begin is the arrow of dial, from detached or idle.
func (a *attachment) begin(ctx context.Context, host uint16) (err error) {
	if err := a.enter(ctx); err != nil {
		return err
	}
	defer a.leave()
	fresh := a.st == idle
	switch a.st {
	case detached:
		if a.hold, err = a.sys.open(ctx, host); err != nil {
			return err
		}
		own, err := a.hold.number(ctx)
		if err != nil {
			a.detach()
			return err
		}
		a.hold.restored(own)
		a.setOwn(own)
	case idle:
		a.late.Stop()
	default:
		return fmt.Errorf("this process has the channel to a host already: %w", transport.ErrBusy)
	}
	if a.next != nil && a.next.host == host {
		a.cur = a.next.channel
	} else {
		a.dropNext()
		if a.cur, err = a.hold.offer(ctx, host, a.in.Own, fresh); err != nil {
			a.detach()
			return err
		}
	}
	a.next, a.st, a.host = nil, offered, host
	a.watch()
	return nil
}

// errDoubted is that an offer on an event channel that was used before found
// nobody, although the host is there.
var errDoubted = errors.New("the event channel may be one of before a restore")

// wait waits for the host, in doubt not longer than timing.doubt if it is
// there.
func (a *attachment) wait(ctx context.Context, host uint16) error {
	cur := a.cur
	for {
		first, cancel := ctx, context.CancelFunc(func() {})
		doubtful := cur.doubtful()
		if doubtful {
			first, cancel = context.WithTimeout(ctx, a.timing.doubt)
		}
		err := cur.Wait(first)
		late := first.Err() != nil
		cancel()
		switch {
		case err == nil && late && doubtful && ctx.Err() == nil:
			return errDoubted // the host has come, and no event said so
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("offered a channel at %s, domain %d did not connect: %w",
				cur.path(), host, context.Cause(ctx))
		case !doubtful || !errors.Is(err, context.DeadlineExceeded):
			return err
		}
		if instance, err := a.hold.instance(ctx); err == nil && instance != "" {
			return errDoubted
		}
	}
}

// offerAnew makes another offer, on an event channel that was not used before.
func (a *attachment) offerAnew(ctx context.Context, host uint16) error {
	if err := a.enter(ctx); err != nil {
		return err
	}
	defer a.leave()
	if a.st == ended {
		return transport.ErrRestored
	}
	a.cur.doubt()
	_ = a.cur.Close()
	anew, err := a.hold.offer(ctx, host, a.in.Own, false)
	if err == nil {
		a.cur = anew
	}
	return err
}

// hostCame is the arrow from offered to connected. A host announces itself
// before it connects, so the instance that is announced by now is the one that
// did. It is asked for in a while, as the caller goes on.
func (a *attachment) hostCame(ctx context.Context) error {
	if err := a.enter(ctx); err != nil {
		return err
	}
	defer a.leave()
	if a.st == ended {
		return nil // the first read says it
	}
	a.st = connected
	a.cur.came()
	a.in.Taken, a.in.Instance = true, ""
	turn, ctx := a.turn.Add(1), a.watching
	a.watchers.Go(func() { a.learn(ctx, turn) })
	return nil
}
