// Package ring is the shared page of a Xen PV console, seen from the back end:
// Attach takes a mapped page, [Ring.Read] what the guest wrote, and
// [Ring.Write] gives the guest something to read.
//
// The page is struct xencons_interface of xen/io/console.h: two rings with
// free-running indices and nothing else. Both ends send an event after each
// change, asked for or not.
//
// The page is hostile: an index is loaded once, checked against the private
// copy of our own, then used.
package ring

import (
	"errors"
	"fmt"
	"sync/atomic"
	"unsafe"
)

// Layout of the page, xen/io/console.h. Offsets and sizes are bytes; the
// indices are little-endian.
const (
	PageSize = 4096
	InSize   = 1024 // what the back end writes and the guest reads
	OutSize  = 2048 // what the guest writes and the back end reads

	offIn      = 0
	offOut     = offIn + InSize
	offIndices = offOut + OutSize // in_cons, in_prod, out_cons, out_prod, u32 each
)

// indices lies over the page at offIndices.
type indices struct {
	inCons, inProd   atomic.Uint32
	outCons, outProd atomic.Uint32
}

var (
	// ErrCorrupt is a guest that wrote impossible indices. The Ring gives it
	// for ever after.
	ErrCorrupt error = corrupt("the console's ring is corrupt")

	// ErrMemory is memory that cannot be a console's page, or a machine whose
	// byte order is not the page's.
	ErrMemory = errors.New("not a console's page")
)

// corrupt is an error that blames the guest.
type corrupt string

func (c corrupt) Error() string { return string(c) }

// Hostile says that the guest broke the rules.
func (corrupt) Hostile() bool { return true }

// littleEndian is found out once: the page is shared as it lies in memory.
var littleEndian = func() bool {
	one := uint16(1)
	return *(*byte)(unsafe.Pointer(&one)) == 1
}()

// Ring is the back end's view. A Read and a Write may run side by side, two of
// a kind may not.
type Ring struct {
	in, out []byte
	shared  *indices
	inProd  atomic.Uint32 // our own two, the only truth about them
	outCons atomic.Uint32
	wiped   uint32 // of in; up to here what the guest has taken is wiped. Write's alone.
	corrupt atomic.Pointer[error]
}

// Attach takes over a page, with what is in it: a page that an earlier back end
// used goes on where that one stopped.
func Attach(page []byte) (*Ring, error) {
	if !littleEndian {
		return nil, fmt.Errorf("%w: this machine is not little-endian", ErrMemory)
	}
	if len(page) != PageSize {
		return nil, fmt.Errorf("%w: %d bytes instead of %d", ErrMemory, len(page), PageSize)
	}
	at := unsafe.Pointer(&page[offIndices])
	if uintptr(at)%4 != 0 {
		return nil, fmt.Errorf("%w: not aligned", ErrMemory)
	}
	r := &Ring{in: page[offIn:offOut:offOut], out: page[offOut:offIndices:offIndices], shared: (*indices)(at)}
	r.inProd.Store(r.shared.inProd.Load())
	r.outCons.Store(r.shared.outCons.Load())
	if _, err := r.Buffered(); err != nil {
		return nil, err
	}
	if _, err := r.Space(); err != nil {
		return nil, err
	}
	r.wiped = r.inProd.Load() // what others wrote is not ours to wipe
	return r, nil
}

// Buffered is how many bytes the guest has written and nobody has read.
func (r *Ring) Buffered() (int, error) {
	for {
		own := r.outCons.Load()
		prod := r.shared.outProd.Load()
		if r.outCons.Load() == own { // a Read beside us must not look like corruption
			return r.filled(prod, own)
		}
	}
}

// Space is how many bytes can be written.
func (r *Ring) Space() (int, error) {
	for {
		own := r.inProd.Load()
		cons := r.shared.inCons.Load()
		if r.inProd.Load() == own {
			return r.room(cons, own)
		}
	}
}

// Unread is how many bytes that we wrote the guest has not taken.
func (r *Ring) Unread() (int, error) {
	n, err := r.Space()
	return InSize - n, err
}

func (r *Ring) filled(prod, own uint32) (int, error) {
	if err := r.Err(); err != nil {
		return 0, err
	}
	if n := prod - own; n > OutSize {
		return 0, r.fail("out_prod", prod, own, OutSize)
	}
	return int(prod - own), nil
}

func (r *Ring) room(cons, own uint32) (int, error) {
	if err := r.Err(); err != nil {
		return 0, err
	}
	if n := own - cons; n > InSize {
		return 0, r.fail("in_cons", cons, own, InSize)
	}
	return InSize - int(own-cons), nil
}

// Read takes what is there, up to len(p) bytes, wipes it from the page and
// gives the room back. With nothing there it returns 0. After a read of
// something the guest is to be told.
func (r *Ring) Read(p []byte) (int, error) {
	own := r.outCons.Load()
	avail, err := r.filled(r.shared.outProd.Load(), own)
	n := min(avail, len(p))
	if err != nil || n == 0 {
		return 0, err
	}
	first, rest := parts(r.out, own, n)
	copy(p, first)
	copy(p[len(first):], rest)
	clear(first)
	clear(rest)
	r.outCons.Store(own + uint32(n))
	r.shared.outCons.Store(own + uint32(n)) // sequentially consistent: the wiping comes before
	return n, nil
}

// Write puts in what there is room for, up to len(p) bytes; into a full ring
// that is 0. After a write of something the guest is to be told. What the guest
// has taken since the last Write is wiped.
func (r *Ring) Write(p []byte) (int, error) {
	own := r.inProd.Load()
	space, err := r.wipe(own)
	n := min(space, len(p))
	if err != nil || n == 0 {
		return 0, err
	}
	first, rest := parts(r.in, own, n)
	copy(first, p)
	copy(rest, p[len(first):n])
	r.inProd.Store(own + uint32(n))
	r.shared.inProd.Store(own + uint32(n))
	return n, nil
}

// Wipe wipes what the guest has taken. It excludes Write.
func (r *Ring) Wipe() error {
	_, err := r.wipe(r.inProd.Load())
	return err
}

// wipe says how much room there is, and wipes that part of it which was ours.
func (r *Ring) wipe(own uint32) (space int, err error) {
	cons := r.shared.inCons.Load()
	if space, err = r.room(cons, own); err != nil {
		return 0, err
	}
	// A guest may move in_cons back: then there is nothing to do.
	if n := cons - r.wiped; n > 0 && n <= InSize {
		first, rest := parts(r.in, r.wiped, int(n))
		clear(first)
		clear(rest)
		r.wiped = cons
	}
	return space, nil
}

// parts are the n bytes of a ring from an index on. Both sizes are powers of
// two.
func parts(buf []byte, index uint32, n int) (first, rest []byte) {
	at := int(index) & (len(buf) - 1)
	first = buf[at:min(at+n, len(buf))]
	return first, buf[:n-len(first)]
}

// Progress gives the two indices that the guest writes, unchecked: good only
// for seeing whether anything changed.
func (r *Ring) Progress() uint64 {
	return uint64(r.shared.outProd.Load())<<32 | uint64(r.shared.inCons.Load())
}

// Err is nil, or says what the guest did to the ring.
func (r *Ring) Err() error {
	if err := r.corrupt.Load(); err != nil {
		return *err
	}
	return nil
}

func (r *Ring) fail(name string, theirs, ours uint32, size int) error {
	err := fmt.Errorf("%w: the guest's %s is %d, ours is %d, the ring has %d bytes",
		ErrCorrupt, name, theirs, ours, size)
	r.corrupt.CompareAndSwap(nil, &err)
	return r.Err()
}
