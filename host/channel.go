package host

import (
	"io"
	"time"
)

// Channel is a connected byte stream to one guest. Close must unblock a Read or Write under way.
type Channel interface {
	io.ReadWriteCloser
	SetReadDeadline(t time.Time) error
	SetWriteDeadline(t time.Time) error
}

// Peer says who is at the other end of a channel. A carrier fills it in from what it can vouch for (credentials of the
// kernel, a domain number of the hypervisor), never from what the guest says of itself.
type Peer struct {
	ID      string // stable for as long as the guest lives: budgets and counters go by it
	Group   string // whom limits on connections count together: a user, a domain
	Name    string // for people
	Carrier string // "local", "vchan", "console"

	// Incarnation changes when the guest's memory may have been copied since it was last seen: a domain number, which a
	// restored or cloned domain gets anew. The guest is then told that a new generation began.
	Incarnation string
}

// Listener yields the guests of one carrier. Close makes Accept return an error.
type Listener interface {
	Accept() (Channel, Peer, error)
	Close() error
}
