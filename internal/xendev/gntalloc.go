package xendev

import (
	"fmt"
	"syscall"
)

// Gntalloc is an open /dev/xen/gntalloc: it makes pages and grants them to
// other domains.
type Gntalloc struct{ *device }

// OpenGntalloc opens the device.
func OpenGntalloc(sys System) (*Gntalloc, error) {
	d, err := openDevice(sys, gntallocDriver)
	if err != nil {
		return nil, err
	}
	return &Gntalloc{d}, nil
}

// Alloc makes pages, zeroed, grants each to a domain for reading and writing,
// maps them here and gives the references in the order of the pages. A page
// that the other domain still has mapped when we unmap it goes on to count
// against the driver's limit until the other domain unmaps it, too.
func (g *Gntalloc) Alloc(domid uint16, pages int) (*Mapping, []uint32, error) {
	op := fmt.Sprintf("allocate %d grants for domain %d", pages, domid)
	if pages <= 0 {
		return nil, nil, g.failed(syscall.EINVAL, op)
	}
	arg := encodeAlloc(domid, allocWritable, pages)
	if err := g.call(op, reqAlloc, arg); err != nil {
		return nil, nil, err
	}
	at := index(arg)
	data, err := g.mmap(op, at, pages)
	if err != nil {
		_ = g.call(op, reqDealloc, encodeDealloc(at, pages))
		return nil, nil, err
	}
	return &Mapping{
		dev: g.device, data: data, index: at, notify: reqAllocNotify,
		release: func(m *Mapping) error {
			return g.unlessClosed("give the grants back", reqDealloc, encodeDealloc(m.index, m.Pages()))
		},
	}, allocated(arg, pages), nil
}

// EndNotice is a page that nobody maps. The kernel keeps it for an event that
// it sends when the device is closed, at the end of the process at the latest:
// by then the process's memory is gone, and what was asked for the unmapping of
// other pages is done.
type EndNotice struct {
	dev   *device
	index uint64
}

// EndNotice makes one. The page counts against the driver's limit and is
// granted to domid, which is not told of it.
func (g *Gntalloc) EndNotice(domid uint16) (*EndNotice, error) {
	arg := encodeAlloc(domid, allocWritable, 1)
	if err := g.call(fmt.Sprintf("allocate a page for the last event to domain %d", domid), reqAlloc, arg); err != nil {
		return nil, err
	}
	return &EndNotice{g.device, index(arg)}, nil
}

// Set says through which port of ours the event is to go. The kernel keeps the
// port until then, unbound or not.
//
// Called again with the same port it changes nothing, and says whether the
// kernel still knows the port: when the domain was restored since, it mostly
// fails. It succeeds then only if somebody else got a port of this number.
func (n *EndNotice) Set(port uint32) error {
	return n.dev.call(fmt.Sprintf("ask for a last event through port %d", port), reqAllocNotify,
		encodeNotify(n.index, notifySendEvent, port))
}
