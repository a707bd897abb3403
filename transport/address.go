package transport

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Address is a channel address taken apart.
type Address struct {
	Scheme string // the carrier
	Path   string // what the carrier makes of it: for local, the path of a Unix socket
}

// String puts the address together again.
func (a Address) String() string { return a.Scheme + ":" + a.Path }

// Carriers is a list of carriers, in the order in which a guest looks for its
// host.
type Carriers []*Carrier

// Parse takes an address apart, checks its form, and finds its carrier. It
// touches no file. The error wraps ErrAddress and names the place in the
// address and what could stand there.
func (l Carriers) Parse(address string) (Address, *Carrier, error) {
	scheme, path, found := strings.Cut(address, ":")
	if !found {
		return Address{}, nil, addressError(address, 0, "no scheme; known are "+l.known())
	}
	c := l.named(scheme)
	if c == nil {
		return Address{}, nil, addressError(address, 0,
			fmt.Sprintf("unknown scheme %q; known are %s", scheme, l.known()))
	}
	if at, why := c.Check(path); why != "" {
		return Address{}, nil, addressError(address, len(scheme)+1+at, why)
	}
	return Address{Scheme: scheme, Path: path}, c, nil
}

// Dial connects to the host at an address. The context bounds the dialling, not
// the connection.
func (l Carriers) Dial(ctx context.Context, address string) (Conn, error) {
	a, c, err := l.Parse(address)
	if err != nil {
		return nil, err
	}
	if c.Dial == nil {
		return nil, fmt.Errorf("dial %s: only a host has such an address", a)
	}
	conn, err := c.Dial(ctx, a.Path)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", a, err)
	}
	return conn, nil
}

// Listen takes a host's guests at an address. A directory that a socket needs
// is made.
func (l Carriers) Listen(address string, o ListenOptions) (Listener, error) {
	a, c, err := l.ParseListen(address)
	if err != nil {
		return nil, err
	}
	lis, err := c.Listen(a.Path, o)
	if err != nil {
		return nil, fmt.Errorf("listen at %s: %w", a, err)
	}
	return lis, nil
}

// ParseListen is Parse for an address of a host's: one that is for guests alone
// is an error.
func (l Carriers) ParseListen(address string) (Address, *Carrier, error) {
	a, c, err := l.Parse(address)
	if err == nil && c.Listen == nil {
		err = fmt.Errorf("%w: %q is an address for a guest; %s", ErrAddress, address, c.NoListen)
	}
	return a, c, err
}

// Found is the address at which a guest of this machine finds its host by
// itself, for as long as the machine is what it is. ok is false where that is
// to be looked for at each dial, see DialFound.
func (l Carriers) Found(ctx context.Context) (address string, ok bool) {
	for _, c := range l {
		if c.Find == nil {
			continue
		}
		path, err := c.Find(ctx)
		switch {
		case errors.Is(err, ErrNotHere):
		case err != nil || c.Waits:
			return "", false
		default:
			return Address{c.Scheme, path}.String(), true
		}
	}
	return "", false
}

// DialFound connects to the host that a guest of this machine finds by itself:
// with the first carrier that finds one and is not busy. The error says of each
// what is in the way.
func (l Carriers) DialFound(ctx context.Context) (Conn, error) {
	var failed error
	fail := func(err error) {
		if failed != nil {
			err = fmt.Errorf("%w; %w", failed, err)
		}
		failed = err
	}
	for _, c := range l {
		if c.Find == nil {
			continue
		}
		path, err := c.Find(ctx)
		if err != nil {
			if !errors.Is(err, ErrNotHere) {
				fail(err)
			}
			continue
		}
		conn, err := c.Dial(ctx, path)
		if err == nil {
			return conn, nil
		}
		fail(fmt.Errorf("dial %s: %w", Address{c.Scheme, path}, err))
		if c.Waits && !errors.Is(err, ErrBusy) {
			break // it is here, and what failed is its own affair
		}
	}
	if failed == nil {
		failed = errors.New("nothing is here by which a guest finds its host: give its address")
	}
	return nil, failed
}

func (l Carriers) named(scheme string) *Carrier {
	for _, c := range l {
		if c.Scheme == scheme {
			return c
		}
	}
	return nil
}

// known lists the forms of addresses.
func (l Carriers) known() string {
	var list []string
	for _, c := range l {
		list = append(list, c.Scheme+":"+c.Form)
	}
	return strings.Join(list, ", ")
}

// addressError says what is wrong at which byte of an address, counted from 1
// as editors do.
func addressError(address string, at int, why string) error {
	return fmt.Errorf("%w: %q, column %d: %s", ErrAddress, address, at+1, why)
}
