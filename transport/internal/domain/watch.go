package domain

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/xentropyd/xentropyd/internal/wait"
	"github.com/xentropyd/xentropyd/xenstore"
)

// Timing is how a watch waits (our choices).
type Timing struct {
	Poll   time.Duration // between two looks without an event
	Answer time.Duration // for xenstore; after that its connection is taken for dead
	Again  time.Duration // first pause before connecting anew, doubled up to Poll

	// Start is before the first look: an exchange that is over by then needs no
	// watch, which takes longer to set than a seed to come.
	Start time.Duration
}

// Usual is a guest's Timing.
var Usual = Timing{
	Poll: 15 * time.Second, Answer: 5 * time.Second, Again: 100 * time.Millisecond, Start: 500 * time.Millisecond,
}

// Watch looks at the domain when xenstore says that something changed, for what
// nobody else would tell a channel:
//
//   - The domain's number changed. After a save and restore, a migration or a
//     cloning the channel's event channel leads nowhere, and neither an event
//     nor the memory says so. Linux sets all watches again when it resumes
//     (xs_resume, drivers/xen/xenbus/xenbus_xs.c), and a watch that is set
//     fires.
//   - The host announces another instance than the one that took the channel:
//     its daemon was restarted. What says this when a daemon is killed is
//     mostly its kernel, but not for a console, nor when its whole domain went.
//
// It has a xenstore connection of its own, and makes a new one when that breaks
// or gives no answer.
type Watch struct {
	Open Opener
	Timing

	// Begin is called before each look. It gives the number that is expected,
	// and what See gets back.
	Begin func() (own uint16, token uint64)

	// See is given what was read, by one call at a time. It says whether the
	// watch is over.
	See func(r Reading, token uint64) (over bool)
}

// Run watches until ctx ends or See has had enough.
func (w *Watch) Run(ctx context.Context) {
	wait.For(ctx, w.Start)
	again := wait.Backoff{First: w.Again, Last: w.Poll}
	for ctx.Err() == nil {
		began := time.Now()
		over, err := w.session(ctx)
		switch {
		case over:
			return
		case errors.Is(err, fs.ErrNotExist):
			return // no xenstore here: a console that was named by its path
		case time.Since(began) > w.Poll:
			again.Reset()
		}
		wait.For(ctx, again.Next())
	}
}

// session watches over one connection until that fails.
func (w *Watch) session(ctx context.Context) (over bool, err error) {
	opening, cancel := context.WithTimeout(ctx, w.Answer)
	defer cancel()
	store, err := w.Open(opening)
	if err != nil {
		return false, err
	}
	defer store.Close()
	if over, err := w.look(ctx, store); over || err != nil {
		return over, err // a look even where no watch is to be had
	}
	number, err := store.Watch(opening, nodeDomID)
	if err != nil {
		return false, err
	}
	host, err := store.Watch(opening, Announcement)
	if err != nil {
		return false, err
	}
	poll := time.NewTicker(w.Poll)
	defer poll.Stop()
	for { // a watch fires when it is set
		ok := true
		select {
		case _, ok = <-number.C():
		case _, ok = <-host.C():
		case <-poll.C:
		case <-ctx.Done():
			return false, ctx.Err()
		}
		if !ok {
			return false, errors.New("the watch has ended")
		}
		if over, err := w.look(ctx, store); over || err != nil {
			return over, err
		}
	}
}

// look reads what there is. The error is about the connection.
func (w *Watch) look(ctx context.Context, store *xenstore.Client) (over bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, w.Answer)
	defer cancel()
	own, token := w.Begin()
	r := Reading{}
	r.Number, err = store.OwnDomID(ctx)
	switch {
	case errors.Is(err, xenstore.ErrNotFound): // the toolstack is at work
		r.Number = own
	case err != nil:
		return false, err
	}
	if r.Number == own { // else nothing more is needed: a restored guest has no time to lose
		if r.Instance, err = Instance(ctx, store); err != nil {
			return false, err
		}
	}
	return w.See(r, token), nil
}
