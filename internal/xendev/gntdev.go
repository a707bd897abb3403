package xendev

import (
	"errors"
	"fmt"
	"syscall"
)

// Gntdev is an open /dev/xen/gntdev: it maps pages that other domains grant.
type Gntdev struct{ *device }

// OpenGntdev opens the device.
func OpenGntdev(sys System) (*Gntdev, error) {
	d, err := openDevice(sys, gntdevDriver)
	if err != nil {
		return nil, err
	}
	return &Gntdev{d}, nil
}

// SetMaxGrants says how many grants will be mapped at once through this open
// device, before the first of them. The drivers of today do not know the call:
// their limit is a module parameter, and that is no error.
func (g *Gntdev) SetMaxGrants(n int) error {
	err := g.call(fmt.Sprintf("set the maximum to %d grants", n), reqMaxGrants, encodePort(uint32(n)))
	if errors.Is(err, syscall.ENOTTY) || errors.Is(err, syscall.ENOSYS) {
		return nil
	}
	return err
}

// Map maps the pages that a domain grants us, in the order of refs, for
// reading and writing.
func (g *Gntdev) Map(domid uint16, refs []uint32) (*Mapping, error) {
	op := fmt.Sprintf("map %d grants of domain %d", len(refs), domid)
	if len(refs) == 0 {
		return nil, g.failed(syscall.EINVAL, op)
	}
	arg := encodeMap(domid, refs)
	if err := g.call(op, reqMap, arg); err != nil {
		return nil, err
	}
	at := index(arg)
	data, err := g.mmap(op, at, len(refs))
	if err != nil {
		_ = g.call(op, reqUnmap, encodeUnmap(at, len(refs)))
		return nil, err
	}
	return &Mapping{
		dev: g.device, data: data, index: at, notify: reqMapNotify,
		release: func(m *Mapping) error {
			return g.unlessClosed("forget the grants", reqUnmap, encodeUnmap(m.index, m.Pages()))
		},
	}, nil
}

// unlessClosed is for giving back: a closed device has given back already.
func (d *device) unlessClosed(op string, request uint32, arg []byte) error {
	err := d.call(op, request, arg)
	if errors.Is(err, ErrClosed) {
		return nil
	}
	return err
}
