package xen

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

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
// Restored again in ended or idle, the next channel is made anew. The arrows are
// in dial.go, restored.go and close.go.
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
