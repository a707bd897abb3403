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
