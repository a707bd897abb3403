package transport

import (
	"context"
	"os"
)

// Carrier is one way for a guest to reach its host, as its package describes
// it. Fields that are nil are for what the carrier does not have.
type Carrier struct {
	Scheme string // of its addresses: "local"
	Form   string // what follows the colon, for people: "/PATH/OF/SOCKET"

	// Check says what is wrong with the part of an address behind the colon,
	// and at which byte; why is empty if it is good. It touches no file.
	Check func(path string) (at int, why string)

	// Dial connects a guest to its host; nil: only hosts use such an address.
	// The context bounds the dialling.
	Dial func(ctx context.Context, path string) (Conn, error)

	// Waits says that a dial waits for the host as long as its context lets it,
	// where others give up when there is no host.
	Waits bool

	// Find says at which address, without the scheme, a guest of this machine
	// finds its host by itself; nil: it has to be told. An error is ErrNotHere,
	// or says what is missing.
	Find func(ctx context.Context) (path string, err error)

	// Missing are the devices that a dial needs and that are not here, where
	// the carrier could find a host at all.
	Missing func() []Device

	// Cure says what to do about the error of a dial, or of waiting for a seed.
	Cure func(err error) string

	// Process is what a process that dials has to do besides.
	Process Process

	// Listen takes a host's guests; nil: only guests use such an address, and
	// NoListen says what a host does instead.
	Listen   func(path string, o ListenOptions) (Listener, error)
	NoListen string

	// Default is where a host listens unless its configuration says otherwise,
	// with the directory that sockets are in: "/run", or a user's own; nil:
	// nowhere.
	Default func(runtimeDir string) (path string)

	// Usual says that this machine has guests that are served, at the scheme
	// alone, unless the configuration says otherwise.
	Usual func() bool

	// Config makes the carrier's own table of the host's configuration, with
	// its defaults; its name there is the scheme.
	Config func() Config

	// File is the file that Listen makes for an address; nil for none.
	File func(path string) string
}

// Config is a carrier's table of the host's configuration: a pointer to a
// struct whose fields have the tag toml. Check says what is wrong, by the names
// of the tags, the first fault first; used is whether the host listens there.
type Config interface {
	Check(used bool) []Fault
}

// Fault is a value of a configuration that cannot be.
type Fault struct {
	Key  string // "allow[1]"; empty for the whole table
	Text string // "\"[\" is not a pattern"
}

// Device is a device that a carrier needs, and the kernel module that brings
// it, "" if none does.
type Device struct{ Path, Module string }

// Process is what a carrier asks of a process that dials with it, besides
// closing each Conn. Its methods may be called from any goroutine.
type Process interface {
	// KeepWith sets the process's Keeper, before the first dial. Without one,
	// what this process has dialled is closed at its end, whatever has become
	// of it.
	KeepWith(k Keeper)

	// Lost is closed when a call of this machine's drivers did not come back:
	// a bug in the kernel has ended the thread that made it. What that holds
	// nobody gives back while the process lives, so a service should end then
	// and be started again.
	Lost() <-chan struct{}

	// Leave is for the end of a process with a Keeper, after its last Conn was
	// closed: the Keeper gets what must not be closed with the process. Until
	// ctx ends it may ask whether there is such a thing.
	Leave(ctx context.Context) error
}

// Keeper has another process inherit open files, all that it is to have, and
// returns when it has them. It must hold them until the machine goes down. The
// files are closed when Keeper returns; one that was kept before comes again,
// so that an older process can be ended afterwards.
type Keeper func(files []*os.File) error
