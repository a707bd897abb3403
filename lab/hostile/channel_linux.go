package main

import (
	"sync/atomic"
	"unsafe"

	"github.com/xentropyd/xentropyd/internal/xendev"
)

// channel is shared memory and an event channel of this guest's making, without
// the library's help.
type channel struct {
	g    *guest
	page []byte
	refs []uint32 // grants of the page, and of more if there are
	port uint32
	mem  *xendev.Mapping
	ev   *xendev.Evtchn
}

// channel makes pages that are granted to one domain and a port that waits for
// another.
func (g *guest) channel(pageFor, portFor uint16, pages int) (c channel, err error) {
	c.g = g
	d, err := xendev.OpenGntalloc(nil)
	if err != nil {
		return c, err
	}
	defer func() { _ = d.Close() }()
	if c.mem, c.refs, err = d.Alloc(pageFor, pages); err != nil {
		return c, err
	}
	c.page = c.mem.Bytes()
	if c.ev, err = xendev.OpenEvtchn(nil); err != nil {
		_ = c.mem.Unmap()
		return c, err
	}
	if c.port, err = c.ev.BindUnbound(portFor); err != nil {
		c.release()
	}
	return c, err
}

// word is one of the page's, to be read and written at any time.
func (c *channel) word(at int) *atomic.Uint32 { return (*atomic.Uint32)(unsafe.Pointer(&c.page[at])) }

func (c *channel) notify() {
	if c.ev.Notify(c.port) == nil {
		c.g.count("events", 1)
	}
}

// release takes port and pages back.
func (c *channel) release() {
	_ = c.ev.Close()
	_ = c.mem.Unmap()
}
