// Package kernelrng feeds the Linux kernel's random number generator.
//
// [Open] checks that this process may do so, and [RNG.Seed] gives the kernel
// fresh bytes, credits them, and makes it use them at once:
//
//	k, err := kernelrng.Open()
//	if err != nil { … }
//	defer k.Close()
//	credited, err := k.Seed(seed, 256)
//
// An [RNG] is a guest.Target. [Ready] and [EntropyAvail] say how the kernel's
// generator is, and need no privilege. [Fake] stands in for an RNG in tests.
// Other systems than Linux give [ErrUnsupported].
package kernelrng

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"
)

// Device is where the generator is fed.
const Device = "/dev/random"

// maxSeed is the most bytes that one Seed takes: our own choice, a page is far
// more than the kernel's 256 bits of state need.
const maxSeed = 4096

var (
	// ErrUnsupported is wrapped by every error on a system whose generator
	// cannot be fed.
	ErrUnsupported = errors.New("needs Linux")
	// ErrNotCredited is wrapped by the error of a Seed that mixed bytes in
	// without credit while the kernel's generator was never seeded: it is no
	// better off than before.
	ErrNotCredited = errors.New("bytes mixed in without credit, and the kernel's generator was never seeded")
	// ErrClosed is wrapped by the error of a Seed after Close.
	ErrClosed = errors.New("is closed")
)

// PrivilegeError says that the process may not feed the kernel's generator.
// errors.Is finds fs.ErrPermission in it.
type PrivilegeError struct {
	Op string // what was refused
}

func (e *PrivilegeError) Error() string {
	return e.Op + ": CAP_SYS_ADMIN is missing: run it as root in the machine itself, not in a container, " +
		"or give the service AmbientCapabilities=CAP_SYS_ADMIN"
}

// Unwrap returns fs.ErrPermission.
func (e *PrivilegeError) Unwrap() error { return fs.ErrPermission }

// device is the open random device, or a test's.
type device interface {
	add(info []byte) error // RNDADDENTROPY of a whole rand_pool_info
	reseed() error         // RNDRESEEDCRNG
	close() error
}

// errNeverSeeded is RNDRESEEDCRNG's ENODATA.
var errNeverSeeded = errors.New("the generator was never seeded")

// RNG is the kernel's generator, open for feeding. Its methods are safe for
// concurrent use.
type RNG struct {
	mu  sync.Mutex
	dev device // nil once closed
}

// Open opens the kernel's generator. Without the right to feed it the error is
// a [PrivilegeError].
func Open() (*RNG, error) {
	d, err := openDevice()
	if err != nil {
		return nil, fmt.Errorf("open the kernel's random number generator: %w", err)
	}
	return newRNG(d)
}

// newRNG tries with no bytes at all whether d may be fed: the kernel's own
// answer also knows of user namespaces.
func newRNG(d device) (*RNG, error) {
	if err := d.add(poolInfo(nil, 0)); err != nil {
		_ = d.close()
		return nil, explain("open the kernel's random number generator", err)
	}
	return &RNG{dev: d}, nil
}

// Seed mixes seed, 1 to 4096 bytes, into the kernel's generator, credits it
// with so many bits of entropy, at most 8 per byte, and has the kernel take a
// new key from it at once; without that the bytes could wait for a minute. It
// returns the bits that it asked the kernel to credit. A kernel that was never
// seeded and still is not, because it wants more bits, is no error as long as
// some were credited: see [Ready]. The caller wipes seed; the copy for the
// kernel is wiped here.
func (r *RNG) Seed(seed []byte, bits int) (credited int, err error) {
	switch {
	case len(seed) == 0 || len(seed) > maxSeed:
		return 0, fmt.Errorf("seed the kernel with %d bytes: 1 to %d are possible", len(seed), maxSeed)
	case bits < 0:
		return 0, fmt.Errorf("seed the kernel with %d bits of credit: must not be negative", bits)
	}
	bits = min(bits, 8*len(seed))
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dev == nil {
		return 0, fmt.Errorf("seed the kernel: %s %w", Device, ErrClosed)
	}
	info := poolInfo(seed, bits)
	defer clear(info)
	if err := r.dev.add(info); err != nil {
		return 0, explain("add entropy to the kernel", err)
	}
	switch err := r.dev.reseed(); {
	case errors.Is(err, errNeverSeeded) && bits == 0:
		return 0, fmt.Errorf("seed the kernel: %w", ErrNotCredited)
	case err != nil && !errors.Is(err, errNeverSeeded):
		return bits, explain("entropy was added, but rekey the kernel", err)
	}
	return bits, nil
}

// Close gives the device back.
func (r *RNG) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dev == nil {
		return nil
	}
	err := r.dev.close()
	r.dev = nil
	return err
}

// explain says what to do about err.
func explain(op string, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return &PrivilegeError{Op: op}
	}
	return fmt.Errorf("%s: %w", op, err)
}
