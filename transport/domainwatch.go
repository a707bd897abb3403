package transport

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/xentropyd/xentropyd/xenstore"
)

// What a guest watches, relative to its own part of xenstore, whatever its number is by then.
const (
	nodeDomID    = "domid"
	nodeAnnounce = "data/entropy"
	nodeInstance = nodeAnnounce + "/instance"
)

// pace is how a watch waits.
type pace struct {
	poll   time.Duration // between two looks without an event
	answer time.Duration // for xenstore; after that its connection is taken for dead
	again  time.Duration // first pause before connecting anew, doubled up to poll
	start  time.Duration // before the first look: an exchange that is over by then needs no watch, which takes longer to set than a seed to come
	doubt  time.Duration // for a host that is there to come to an offer on an event channel that was used before
	learn  time.Duration // from the host's coming to the asking which one it was, so that this does not delay the first seed
}

var usualPace = pace{
	poll: 15 * time.Second, answer: 5 * time.Second, again: 100 * time.Millisecond,
	start: 500 * time.Millisecond, doubt: 15 * time.Second, learn: 100 * time.Millisecond,
}

// domainWatch ends a channel that nobody else would end:
//
//   - The domain's number changed. After a save and restore, a migration or a cloning the channel's event channel leads nowhere, and
//     neither an event nor the memory says so. Linux sets all watches again when it resumes (xs_resume, drivers/xen/xenbus/xenbus_xs.c),
//     and a watch that is set fires.
//   - The host announces another instance than the one that took the channel: its daemon was restarted. What says this when a daemon
//     is killed is mostly its kernel, but not for a console, nor when its whole domain went.
//
// It has a xenstore connection of its own, and makes a new one when that breaks or gives no answer.
type domainWatch struct {
	d     domain
	own   uint16
	abort func(error)

	ctx    context.Context // until stop
	cancel context.CancelFunc
	wg     sync.WaitGroup
	learnt chan struct{} // closed when connected's question was answered

	looking sync.Mutex // one look at a time: what was read is judged before the next one reads

	mu       sync.Mutex
	taken    bool   // the host has the channel
	instance string // the host's, as announced when it took the channel; "" while it has not announced any
	why      error  // why the channel was ended
}

// watchDomain calls abort at most once, from a goroutine of its own that stop ends.
func watchDomain(d domain, own uint16, abort func(error)) *domainWatch {
	w := &domainWatch{d: d, own: own, abort: abort, learnt: make(chan struct{})}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	w.wg.Go(func() { w.run(w.ctx) })
	return w
}

// stop ends the watch and waits for it.
func (w *domainWatch) stop() {
	w.cancel()
	w.wg.Wait()
}

// connected says, once, that the host has taken the channel. A host announces itself before it connects, so the instance that is
// announced by now is the one that did. It is asked for in a while, as the caller goes on; learnt says when that is done. The store must live until stop.
func (w *domainWatch) connected(store *xenstore.Client, after time.Duration) {
	w.looking.Lock() // what was read before does not count
	w.mu.Lock()
	w.taken, w.instance = true, ""
	w.mu.Unlock()
	w.looking.Unlock()
	w.wg.Go(func() {
		defer close(w.learnt)
		if !pause(w.ctx, after) {
			return
		}
		ctx, cancel := context.WithTimeout(w.ctx, w.d.pace.answer)
		defer cancel()
		w.looking.Lock()
		defer w.looking.Unlock()
		instance, err := announced(ctx, store)
		if err != nil {
			return // the first look will tell
		}
		if why := w.judge(w.own, instance); why != nil {
			w.abort(why)
		}
	})
}

// announced is the host's instance, "" if there is none: an old host, or not yet.
func announced(ctx context.Context, store *xenstore.Client) (string, error) {
	instance, err := store.Read(ctx, nodeInstance)
	if errors.Is(err, xenstore.ErrNotFound) || errors.Is(err, xenstore.ErrPermission) {
		return "", nil
	}
	return instance, err
}

// reason is why the watch ended the channel, nil if it did not.
func (w *domainWatch) reason() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.why
}

func (w *domainWatch) run(ctx context.Context) {
	_ = pause(ctx, w.d.pace.start)
	again := w.d.pace.again
	for ctx.Err() == nil {
		began := time.Now()
		err := w.session(ctx)
		switch {
		case w.reason() != nil || ctx.Err() != nil:
			return
		case errors.Is(err, fs.ErrNotExist):
			return // no xenstore here: a console that was named by its path
		case time.Since(began) > w.d.pace.poll:
			again = w.d.pace.again
		}
		_ = pause(ctx, again)
		again = min(2*again, w.d.pace.poll)
	}
}

// pause returns false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// session watches over one connection until that fails.
func (w *domainWatch) session(ctx context.Context) error {
	opening, cancel := context.WithTimeout(ctx, w.d.pace.answer)
	defer cancel()
	store, err := w.d.store(opening)
	if err != nil {
		return err
	}
	defer store.Close()
	if err := w.look(ctx, store); err != nil || w.reason() != nil {
		return err // a look even where no watch is to be had
	}
	number, err := store.Watch(opening, nodeDomID)
	if err != nil {
		return err
	}
	host, err := store.Watch(opening, nodeAnnounce)
	if err != nil {
		return err
	}
	poll := time.NewTicker(w.d.pace.poll)
	defer poll.Stop()
	for { // a watch fires when it is set
		ok := true
		select {
		case _, ok = <-number.C():
		case _, ok = <-host.C():
		case <-poll.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if !ok {
			return errors.New("the watch has ended")
		}
		if err := w.look(ctx, store); err != nil || w.reason() != nil {
			w.linger(ctx)
			return err
		}
	}
}

// linger puts off the closing of a restored guest's connection: that would be in the next offer's way.
func (w *domainWatch) linger(ctx context.Context) {
	if errors.Is(w.reason(), ErrRestored) {
		_ = pause(ctx, w.d.pace.start)
	}
}

// restoredError is the ErrRestored of a watch. It is made without being written out, for which a restored guest has no time.
type restoredError struct{ from, to uint16 }

func (e *restoredError) Error() string {
	return fmt.Sprintf("domain %d became domain %d: %v", e.from, e.to, ErrRestored)
}

func (e *restoredError) Unwrap() error { return ErrRestored }

// look compares what is there with what was. The error is about the connection.
func (w *domainWatch) look(ctx context.Context, store *xenstore.Client) error {
	ctx, cancel := context.WithTimeout(ctx, w.d.pace.answer)
	defer cancel()
	w.looking.Lock()
	defer w.looking.Unlock()
	number, err := store.OwnDomID(ctx)
	switch {
	case errors.Is(err, xenstore.ErrNotFound): // the toolstack is at work
		number = w.own
	case err != nil:
		return err
	}
	instance := ""
	if number == w.own { // else nothing more is needed: a restored guest has no time to lose
		if instance, err = announced(ctx, store); err != nil {
			return err
		}
	}
	if why := w.judge(number, instance); why != nil {
		w.abort(why)
	}
	return nil
}

// judge says why the channel is to be ended, once.
func (w *domainWatch) judge(number uint16, instance string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.why != nil:
		return nil
	case number != w.own:
		w.why = &restoredError{from: w.own, to: number}
	case instance == "":
	case w.taken && w.instance != "" && instance != w.instance:
		w.why = ErrHostChanged
	default:
		w.instance = instance
	}
	return w.why
}
