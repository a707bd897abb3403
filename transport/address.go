package transport

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ErrAddress is wrapped by every error about the form of an address.
var ErrAddress = errors.New("not a channel address")

// Address is a channel address taken apart.
type Address struct {
	Scheme string // the carrier
	Path   string // what the carrier makes of it: for local, the path of a Unix socket
}

// String puts the address together again.
func (a Address) String() string { return a.Scheme + ":" + a.Path }

// Parse takes an address apart and checks its form. It touches no file. The error names the place in the address and what could stand
// there.
func Parse(address string) (Address, error) {
	a, _, err := parse(address)
	return a, err
}

func parse(address string) (Address, carrier, error) {
	scheme, path, found := strings.Cut(address, ":")
	if !found {
		return Address{}, nil, addressError(address, 0, "no scheme; known are "+known())
	}
	c, ok := carriers[scheme]
	if !ok {
		return Address{}, nil, addressError(address, 0, fmt.Sprintf("unknown scheme %q; known are %s", scheme, known()))
	}
	if at, why := c.check(path); why != "" {
		return Address{}, nil, addressError(address, len(scheme)+1+at, why)
	}
	return Address{Scheme: scheme, Path: path}, c, nil
}

// addressError says what is wrong at which byte of an address, counted from 1 as editors do.
func addressError(address string, at int, why string) error {
	return fmt.Errorf("%w: %q, column %d: %s", ErrAddress, address, at+1, why)
}

// known lists the schemes.
func known() string {
	var list []string
	for _, s := range slices.Sorted(maps.Keys(carriers)) {
		list = append(list, s+":"+carriers[s].form())
	}
	return strings.Join(list, ", ")
}
