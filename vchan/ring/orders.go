package ring

import (
	"encoding/binary"
)

// Orders are the sizes of the two rings as powers of two: 10 and 11 lie inside
// the shared page, 12 to 20 have 2^(order-12) pages of their own.
type Orders struct {
	Left  uint16 // client writes, server reads
	Right uint16 // server writes, client reads
}

// Check refuses what cannot be: orders outside 10 to 20, two rings in the same
// place of the page, and a grant list that would run into an in-page ring or
// off the page. That last one the C client does not look at.
func (o Orders) Check() error {
	for _, v := range [2]uint16{o.Left, o.Right} {
		if v < smallOrder || v > maxOrder {
			return layoutError("order %d is outside %d to %d", v, smallOrder, maxOrder)
		}
	}
	if o.Left == o.Right && o.Left < pageOrder {
		return layoutError("both rings have order %d, which is one place in the page", o.Left)
	}
	end := PageSize
	if o.Left == largeOrder || o.Right == largeOrder {
		end = largeOffset
	}
	if o.Left == smallOrder || o.Right == smallOrder {
		end = smallOffset
	}
	if got, room := o.Grants(), (end-offGrants)/4; got > room {
		return layoutError("orders %d and %d need %d grants, the page has room for %d", o.Left, o.Right, got, room)
	}
	return nil
}

// LeftPages is the number of granted pages of the left ring, 0 if it is in the
// page.
func (o Orders) LeftPages() int { return pages(o.Left) }

// RightPages is the number of granted pages of the right ring, 0 if it is in
// the page.
func (o Orders) RightPages() int { return pages(o.Right) }

// Grants is the length of the grant list in entries.
func (o Orders) Grants() int { return o.LeftPages() + o.RightPages() }

func pages(order uint16) int {
	if order < pageOrder || order > maxOrder {
		return 0
	}
	return 1 << (order - pageOrder)
}

// ReadOrders takes the orders out of a page that a server formatted. They are
// loaded once and checked; hand the result on to [ReadGrants] and [Attach],
// which never look at those in the page again.
func ReadOrders(page []byte) (Orders, error) {
	h, err := overlay(page)
	if err != nil {
		return Orders{}, err
	}
	w := h.orders.Load()
	o := Orders{Left: uint16(w), Right: uint16(w >> 16)}
	if err := o.Check(); err != nil {
		return Orders{}, err
	}
	return o, nil
}

// ReadGrants copies the grant references out of the page, those of the left
// ring first. A client maps what the copy says and nothing else.
func ReadGrants(page []byte, o Orders) (left, right []uint32, err error) {
	if _, err := overlay(page); err != nil {
		return nil, nil, err
	}
	if err := o.Check(); err != nil {
		return nil, nil, err
	}
	n := o.Grants()
	list := make([]uint32, n)
	for i := range list {
		list[i] = binary.LittleEndian.Uint32(page[offGrants+4*i:])
	}
	l := o.LeftPages()
	return list[:l:l], list[l:], nil
}
