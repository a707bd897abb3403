package transport

import (
	"context"
	"errors"
	"io"
	"time"
)

// Conn is a connected byte stream. Close, and a deadline in the past, make a
// Read or Write under way return; what passed a deadline gives
// os.ErrDeadlineExceeded, and the deadline may be set anew after that.
type Conn interface {
	io.ReadWriteCloser
	SetReadDeadline(t time.Time) error
	SetWriteDeadline(t time.Time) error
}

// Dialer opens a channel to the host. The context bounds the dialling, not the
// channel.
type Dialer func(ctx context.Context) (Conn, error)

// Sleeper is what a Conn implements that says when its Read and Write sleep, so
// that the CPU time in between can be counted. OnSleep is called once, before
// the first Read and Write. From then on a Read or Write calls sleep before it
// waits for the other end, and wake when it goes on, both in its own goroutine;
// more often does no harm. sleep may take its time (some seconds at most), but
// returns when the channel that it is given is closed: it is when the Conn is.
//
// Of a Conn that is no Sleeper, what happens inside Read and Write is not
// counted.
type Sleeper interface {
	OnSleep(sleep func(ended <-chan struct{}), wake func())
}

// Peer is who is at the other end, as the kernel or the hypervisor vouches. No
// field is what the peer says of itself, but Name where OwnName says so.
type Peer struct {
	ID      string // stable for as long as the guest lives: "local:1000/4711@38211". Budgets and counters go by it
	Group   string // whom limits count together, such as a user or a domain: "uid 1000 (anna)"
	Name    string // for people, printable
	Carrier string // "local", "vchan", "console"

	OwnName bool // the guest chose Name itself: no rule may go by it
	// limits on sessions in all are not to keep it out because of others: root,
	// and guests of the hypervisor
	First bool

	// Incarnation changes when the guest's memory may have been copied since it
	// was last seen: a domain's number, which a restored or cloned domain gets
	// anew. It is empty where nothing tells.
	Incarnation string
}

// Listener takes guests. Accept gives net.ErrClosed after Close. Connections
// that were accepted live on until they are closed.
type Listener interface {
	Accept() (Conn, Peer, error)
	Close() error
}

// hostile is what errors implement that blame the other end.
type hostile interface {
	error
	Hostile() bool
}

// Hostile says whether an error blames the other end for breaking the carrier's
// rules, such as a corrupt ring: whether one in its chain has a method
// Hostile() bool that gives true.
func Hostile(err error) bool {
	h, ok := errors.AsType[hostile](err)
	return ok && h.Hostile()
}
