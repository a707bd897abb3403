package vchan

import (
	"net"
	"time"

	"github.com/xentropyd/xentropyd/vchan/ring"
)

// Memory is the shared memory of one channel, mapped. Left and Right are nil
// for rings inside the page. The Conn calls Close once, when nobody is in the
// memory any more.
type Memory interface {
	Page() []byte
	Left() []byte
	Right() []byte
	Close() error
}

// Events are the two notifications of one channel.
//
// Notify tells the peer. It must not wait for the peer. It is called from any
// goroutine, also several at a time. An error ends the channel.
//
// Wait returns nil when the peer notified since the last Wait, an error that
// is os.ErrDeadlineExceeded when the deadline passed, [ErrPeerGone] when the
// back end knows that the peer is gone; any other error ends the channel. The
// Conn has at most one Wait under way.
//
// SetWaitDeadline works as net.Conn's SetReadDeadline: also on the Wait under
// way, and a deadline in the past wakes it. It may be called after Close.
//
// Close is called once. It makes the Wait and the Notify under way return, and
// waits for no one but these.
type Events interface {
	Notify() error
	Wait() error
	SetWaitDeadline(t time.Time) error
	Close() error
}

// Unmasker are Events that tell of one notification and hold back the peer's
// further ones until Unmask. The Conn calls it after a Wait that returned nil,
// before it looks at the memory. It is no part of Wait, so that it is not taken
// for sleep: see Conn.OnSleep.
type Unmasker interface {
	Events
	Unmask() error
}

// Config is what a back end hands over. All fields but the addresses are
// required.
type Config struct {
	Role   ring.Role
	Orders ring.Orders
	Grants []uint32 // server only: the grant list for the page
	Memory Memory   // closed by New if New fails
	Events Events   // likewise

	// Admit, if set, says whether the memory may be touched. It is asked again
	// after each event as long as it gives ErrNotYet; any other error ends the
	// channel. Once it has given nil a server formats the page, which its peer
	// may have mapped but must not have looked at; a client joins it, with the
	// orders that the page has, not Orders. Then the peer is told with an
	// event.
	Admit func() error

	// Silent is for a back end that itself tells the peer that this end has
	// come, and in Events.Close that it goes: New and Close send no event.
	// That of Admit is sent in any case.
	Silent bool

	// Spin is how often a Read or Write that has to wait looks at the ring
	// before it sleeps, for a back end whose peer has CPUs of its own and whose
	// events are dear. 0 is for a peer on this machine: a time then counts, not
	// looks, and on one CPU nobody spins. Where looking is in vain it becomes
	// rare.
	Spin int

	Local, Remote net.Addr // for errors and LocalAddr, RemoteAddr
}

// Addr is a plain address of a channel's end.
type Addr struct {
	Net  string // the back end, such as "xen" or "local"
	Name string
}

// Network gives a.Net.
func (a Addr) Network() string { return a.Net }

// String gives a.Name.
func (a Addr) String() string { return a.Name }
