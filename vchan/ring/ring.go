package ring

import (
	"encoding/binary"
	"sync/atomic"
)

// Role is the end of the channel that one is.
type Role uint8

// The two roles. The server owns the memory, reads left and writes right; the
// client is the mirror.
const (
	Server Role = iota
	Client
)

func (r Role) String() string {
	if r == Server {
		return "server"
	}
	return "client"
}

// Memory is what the two parties share. Left and Right are needed only for
// rings of order 12 and more and then have exactly the ring's size in bytes.
// It must stay mapped as long as the Ring is used.
type Memory struct {
	Page, Left, Right []byte
}

// Ring is one end of the channel.
type Ring struct {
	h       *header
	rx, tx  half
	role    Role
	corrupt atomic.Pointer[CorruptError]
}

// half is one direction. own is the only truth about our index; what is in
// the page is for the peer to look at.
type half struct {
	buf  []byte
	peer *atomic.Uint32 // in the page, written by the peer
	pub  *atomic.Uint32 // in the page, written by us
	own  atomic.Uint32
}

// Create formats the page for a server, as libxenvchan_server_init does, and
// gives the server's end. The grants (those of the left ring first) are
// written to the page's list; there must be as many as the orders ask for.
// Nobody may have the page mapped before Create returns.
func Create(m Memory, o Orders, grants []uint32) (*Ring, error) {
	r, err := newRing(m, o, Server)
	if err != nil {
		return nil, err
	}
	if len(grants) != o.Grants() {
		return nil, layoutError("%d grants given, orders %d and %d need %d", len(grants), o.Left, o.Right, o.Grants())
	}
	clear(m.Page)
	for i, g := range grants {
		binary.LittleEndian.PutUint32(m.Page[offGrants+4*i:], g)
	}
	r.h.orders.Store(uint32(o.Left) | uint32(o.Right)<<16)
	r.h.state.Store(uint32(NotYet)<<shiftCliLive | uint32(Connected)<<shiftSrvLive | notifyWrite<<shiftCliNotify)
	return r, nil
}

// Attach joins, as the client, a page that a server formatted, as
// libxenvchan_client_init does: it says that we are here and asks to be told
// of writes. The caller then sends the first event. The orders are those that
// [ReadOrders] gave. Indices left by an earlier client are taken over; a page
// with impossible ones is refused with [ErrCorrupt] and left as it was.
func Attach(m Memory, o Orders) (*Ring, error) {
	r, err := newRing(m, o, Client)
	if err != nil {
		return nil, err
	}
	r.rx.own.Store(r.rx.pub.Load())
	r.tx.own.Store(r.tx.pub.Load())
	if _, err := r.Buffered(); err != nil {
		return nil, err
	}
	if _, err := r.Space(); err != nil {
		return nil, err
	}
	r.setByte(shiftCliLive, uint32(Connected))
	r.setByte(shiftSrvNotify, notifyWrite)
	return r, nil
}

func newRing(m Memory, o Orders, role Role) (*Ring, error) {
	h, err := overlay(m.Page)
	if err != nil {
		return nil, err
	}
	if err := o.Check(); err != nil {
		return nil, err
	}
	left, err := place(m.Page, m.Left, o.Left, "left")
	if err != nil {
		return nil, err
	}
	right, err := place(m.Page, m.Right, o.Right, "right")
	if err != nil {
		return nil, err
	}
	r := &Ring{h: h, role: role}
	if role == Server {
		r.rx.buf, r.rx.peer, r.rx.pub = left, &h.leftProd, &h.leftCons
		r.tx.buf, r.tx.peer, r.tx.pub = right, &h.rightCons, &h.rightProd
	} else {
		r.rx.buf, r.rx.peer, r.rx.pub = right, &h.rightProd, &h.rightCons
		r.tx.buf, r.tx.peer, r.tx.pub = left, &h.leftCons, &h.leftProd
	}
	return r, nil
}

// place gives the bytes of one ring.
func place(page, own []byte, order uint16, name string) ([]byte, error) {
	size := 1 << order
	switch order {
	case smallOrder:
		return page[smallOffset : smallOffset+size : smallOffset+size], nil
	case largeOrder:
		return page[largeOffset : largeOffset+size : largeOffset+size], nil
	}
	if len(own) != size {
		return nil, layoutError("the %s ring has %d bytes of memory, order %d needs %d", name, len(own), order, size)
	}
	return own[:size:size], nil
}

// Role says which end this is.
func (r *Ring) Role() Role { return r.role }

// Err is the sticky [CorruptError], or nil.
func (r *Ring) Err() error {
	if e := r.corrupt.Load(); e != nil {
		return e
	}
	return nil
}

func (r *Ring) fail(index string, theirs, ours uint32, size int) error {
	r.corrupt.CompareAndSwap(nil, &CorruptError{Index: index, Theirs: theirs, Ours: ours, Size: uint32(size)})
	return r.corrupt.Load()
}
