package transport

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"time"
)

// Conn is a connected byte stream. Close and a deadline in the past make a Read or Write under way return; what passed a deadline
// gives os.ErrDeadlineExceeded.
//
// An error that blames the other end for breaking the carrier's rules, such as a corrupt ring, has a method Hostile() bool that
// returns true.
type Conn interface {
	io.ReadWriteCloser
	SetReadDeadline(t time.Time) error
	SetWriteDeadline(t time.Time) error
}

// Peer is who is at the other end, as the kernel or the hypervisor vouches. No field is what the peer says of itself but Name.
type Peer struct {
	ID      string // stable for as long as the guest lives: "local:1000/4711@38211"
	Group   string // whom limits count together: "uid 1000 (anna)"
	Name    string // for people: the process's name, printable; the guest may have chosen it
	Carrier string // "local"

	Incarnation string // changes when the guest's memory may have been copied; empty where nothing tells
}

// Listener takes guests. Accept gives net.ErrClosed after Close. Connections that were accepted live on until they are closed.
type Listener interface {
	Accept() (Conn, Peer, error)
	Close() error
	Address() Address
}

// ListenOptions are a host's rules; the zero value is good.
type ListenOptions struct {
	Mode    fs.FileMode                          // of socket files; 0660. Who may write may connect.
	Allow   func(uid uint32, gids []uint32) bool // may this user, a member of these groups, be a guest; nil: whom the socket file's mode lets in
	Rate    float64                              // connections per second and user, and Burst at once; the carrier's default
	Burst   int
	Held    int               // how many channels' memory a user may have, of those that are over included; the carrier's default
	Refused func(Peer, error) // is told of guests that the carrier turned away; nil: nobody is
}

// carrier is one way to reach the other end.
type carrier interface {
	form() string                           // what follows the scheme, for people
	check(path string) (at int, why string) // why is empty if path is good
	dial(ctx context.Context, path string) (Conn, error)
	listen(path string, opts ListenOptions) (Listener, error)
}

// carriers is the registry of schemes.
var carriers = map[string]carrier{
	localScheme:   localCarrier{},
	xenScheme:     xenCarrier{},
	consoleScheme: consoleCarrier{},
}

// Dial connects to the host at an address. The context bounds the dialling, not the connection.
func Dial(ctx context.Context, address string) (Conn, error) {
	a, c, err := parse(address)
	if err != nil {
		return nil, err
	}
	conn, err := c.dial(ctx, a.Path)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", a, err)
	}
	return conn, nil
}

// Listen takes guests at an address. A directory that a socket needs is made.
func Listen(address string, opts ListenOptions) (Listener, error) {
	a, c, err := parse(address)
	if err != nil {
		return nil, err
	}
	l, err := c.listen(a.Path, opts)
	if err != nil {
		return nil, fmt.Errorf("listen at %s: %w", a, err)
	}
	return l, nil
}
