package xen

import (
	"context"
	"errors"

	"github.com/xentropyd/xentropyd/internal/wait"
	"github.com/xentropyd/xentropyd/transport"
	"github.com/xentropyd/xentropyd/transport/internal/domain"
)

// learn asks which host has come.
func (a *attachment) learn(ctx context.Context, turn uint64) {
	if !wait.For(ctx, a.timing.learn) {
		return
	}
	ask, cancel := context.WithTimeout(ctx, a.timing.answer)
	defer cancel()
	instance, err := a.hold.instance(ask)
	if a.enter(ctx) != nil {
		return
	}
	defer a.leave()
	a.told.Store(turn)
	if err != nil {
		return // the first look will tell
	}
	if turn == a.turn.Load() {
		a.compare(domain.Reading{Number: a.in.Own, Instance: instance})
	}
}

// watch begins to watch over the domain, if nobody does. In a step.
func (a *attachment) watch() {
	if a.stop != nil {
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	a.watching, a.stop = ctx, stop
	w := a.hold.watch()
	w.Begin = func() (uint16, uint64) { return uint16(a.own.Load()), a.turn.Load() }
	w.See = func(r domain.Reading, turn uint64) bool { return a.see(ctx, r, turn) }
	a.watchers.Go(func() { w.Run(ctx) })
}

// see is given what the watch has read. It says whether the watch is over.
func (a *attachment) see(ctx context.Context, r domain.Reading, turn uint64) (over bool) {
	if a.enter(ctx) != nil {
		return true
	}
	defer a.leave()
	if turn != a.turn.Load() {
		r.Instance = ""
	}
	a.compare(r)
	return false
}

func (a *attachment) compare(r domain.Reading) {
	switch why := a.in.Compare(r); {
	case errors.Is(why, transport.ErrRestored):
		a.restored(r.Number, why)
	case why != nil && a.cur != nil:
		a.cur.Abort(why)
	}
}

// restored is the arrow to ended. The next channel is offered before this one
// is ended.
func (a *attachment) restored(to uint16, why error) {
	if a.next != nil {
		a.next.outlived()
		a.dropNext()
	}
	if a.cur != nil {
		a.cur.outlived()
	}
	a.hold.restored(to)
	a.setOwn(to)
	ctx, cancel := context.WithTimeout(context.Background(), a.timing.answer)
	defer cancel()
	if c, err := a.hold.offer(ctx, a.host, to, true); err == nil { // else the next dial says why not
		a.next = &prepared{c, a.host}
	}
	if a.st == offered || a.st == connected {
		a.st = ended
		a.cur.Abort(why)
	}
}

func (a *attachment) setOwn(own uint16) {
	a.in = domain.Standing{Own: own}
	a.own.Store(uint32(own))
}
