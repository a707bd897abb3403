package xen

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xentropyd/xentropyd/internal/wait"
	"github.com/xentropyd/xentropyd/transport"
	"github.com/xentropyd/xentropyd/transport/internal/domain"
)

// attachment is how this process has the channel to its host, over its channels
// and over the restores of its domain. There is one, and one channel at a time:
// two offers would fight for one path.
//
//	           dial                   host came
//	detached ────────────> offered ───────────────> connected
//	  ^  ^                 │  │  ^                    │   │
//	  │  │ gave up: close  │  │  │                    │   │
//	  │  └─────────────────┘  │  └─dial──────────┐    │   │
//	  │                       │ restored         │    │   │ restored
//	  │                       v                  │    │   │
//	  │                     ended <──────────────┼────┼───┘
//	  │                       │ close            │    │
//	  │                       v                  │    │
//	  │        5 s          idle ────────────────┘    │
//	  ├───────────────────────┘                       │
//	  └───────────────────────────────────────────────┘ close
//
// What a state has:
//
//	detached   nothing; any process of this guest may dial
//	offered    the lock, a connection to xenstore, a watch over the domain, and a
//	           channel that waits for its host. One on an event channel that was
//	           used before is made anew on another where there is doubt
//	connected  the same, and the host has come. A host that changes ends the
//	           channel, no more
//	ended      the domain was restored: the channel gives transport.ErrRestored to
//	           whoever has it, and the next one is offered already, so that the
//	           host comes while the guest tidies up
//	idle       whoever had the channel has closed it, and the next one waits for a
//	           dial. A restored domain runs each piece of code for the first time,
//	           with one CPU and its caches cold: to close, open and lock all of it
//	           anew would take longer than to make the channel
//
// Restored again in ended or idle, the next channel is made anew.
type attachment struct {
	sys    surroundings
	timing timing

	step chan struct{} // of capacity 1: full while a goroutine is in one of the arrows; guards what follows
	st   state
	hold hold
	host uint16    // of the channel
	cur  channel   // offered, connected, ended
	next *prepared // ended, idle; nil if it could not be offered
	late *time.Timer
	in   domain.Standing

	own  atomic.Uint32 // in.Own
	turn atomic.Uint64 // changes when the host comes: what was read before says nothing about it
	told atomic.Uint64 // the turn of which the host's instance was asked for

	watching context.Context
	stop     context.CancelFunc // of watching; nil: nobody watches
	watchers sync.WaitGroup
}

type state int

const (
	detached state = iota
	offered
	connected
	ended
	idle
)

// prepared is a channel that is offered for the next dial to that host.
type prepared struct {
	channel
	host uint16
}

// surroundings are what an attachment stands on.
type surroundings interface {
	// open keeps other processes of this guest away and connects to xenstore.
	open(ctx context.Context, host uint16) (hold, error)
}

// hold is what all channels of an attachment share. close gives it back.
type hold interface {
	number(ctx context.Context) (uint16, error)   // of this domain
	instance(ctx context.Context) (string, error) // that the host announces, "" for none
	restored(own uint16)                          // since some of it was made, the domain has become this number
	watch() domain.Watch                          // but for Begin and See

	// offer makes a channel as domain own. fresh says that nobody has offered
	// anything as this domain before.
	offer(ctx context.Context, host, own uint16, fresh bool) (channel, error)
	close()
}

// channel is an offered vchan.
type channel interface {
	transport.Conn
	transport.Sleeper
	Wait(ctx context.Context) error // for the host to come
	Abort(why error)                // close, and every call gives why

	path() string
	doubtful() bool // a host that is there and does not come may be this channel's fault
	doubt()         // it is
	came()          // it was none
	outlived()      // the domain was restored: the path is in the part of one that is no more
}

// timing is what an attachment waits for (our choices), besides its watch.
type timing struct {
	doubt time.Duration // for a host that is there to come to an offer on an event channel that was used before
	// from the host's coming to the asking which one it was, so that this does
	// not delay the first seed
	learn  time.Duration
	idle   time.Duration // for a dial after a restore. A guest that follows its host dials at once
	answer time.Duration // for xenstore, after a restore
}

var usual = timing{
	doubt: 15 * time.Second, learn: 100 * time.Millisecond,
	idle: 5 * time.Second, answer: 5 * time.Second,
}

func newAttachment(sys surroundings, t timing) *attachment {
	return &attachment{sys: sys, timing: t, step: make(chan struct{}, 1)}
}

// enter begins a step, unless ctx ends before.
func (a *attachment) enter(ctx context.Context) error {
	select {
	case a.step <- struct{}{}:
		if ctx.Err() == nil {
			return nil
		}
		a.leave()
	case <-ctx.Done():
	}
	return context.Cause(ctx)
}

func (a *attachment) leave() { <-a.step }

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

// closed is the arrow of close: to idle, or to detached.
func (a *attachment) closed() {
	a.step <- struct{}{}
	defer a.leave()
	if a.st != ended {
		a.detach()
		return
	}
	a.st, a.cur = idle, nil
	a.late = time.AfterFunc(a.timing.idle, a.drop)
}

// drop is the arrow from idle to detached.
func (a *attachment) drop() {
	a.step <- struct{}{}
	defer a.leave()
	if a.st == idle {
		a.late.Stop()
		a.detach()
	}
}

// detach gives all of it back, and waits for the watch. In a step.
func (a *attachment) detach() {
	if a.stop != nil {
		a.stop()
		a.watchers.Wait()
	}
	a.dropNext()
	if a.hold != nil {
		a.hold.close()
	}
	a.st, a.hold, a.cur, a.stop = detached, nil, nil, nil
}

// dropNext closes the next channel and takes its path out of xenstore.
func (a *attachment) dropNext() {
	if a.next != nil {
		_ = a.next.Close()
	}
	a.next = nil
}

// conn is a channel that a dial gave.
type conn struct {
	channel
	a    *attachment
	once sync.Once
}

// Close closes the channel, takes its path out of xenstore and waits for the
// watch. After a restore most of this is left to the next channel.
func (c *conn) Close() error {
	c.once.Do(func() {
		_ = c.channel.Close() // fails only if the watch or the peer has ended it already
		c.a.closed()
	})
	return nil
}
