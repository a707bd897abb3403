package main

import (
	"encoding/binary"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/xentropyd/xentropyd/internal/xendev"
)

// Layout of the page, xen/io/libxenvchan.h. Left is what the host writes, with order 11; right is what we write, with order 10.
const (
	leftCons, leftProd   = 0, 4
	rightCons, rightProd = 8, 12
	orders, state        = 16, 20
	grants               = 24
	rightAt, rightSize   = 1024, 1024
	leftAt, leftSize     = 2048, 2048
)

// offer is one vchan of ours, by hand.
type offer struct {
	g    *guest
	page []byte
	refs []uint32
	port uint32
	mem  *xendev.Mapping
	ev   *xendev.Evtchn
	in   uint32 // what we have read, and written
	out  uint32
}

// offer makes a channel and publishes it.
func (g *guest) offer(left, right uint16, pages int) (*offer, error) {
	o, err := g.prepare(hostID, hostID, left, right, pages)
	if err == nil {
		o.publish(number(o.refs[0]), number(o.port))
	}
	return o, err
}

// prepare makes a channel whose page is granted to one domain and whose port waits for another.
func (g *guest) prepare(pageFor, portFor uint16, left, right uint16, pages int) (*offer, error) {
	o := &offer{g: g}
	var err error
	if o.mem, o.refs, err = g.grant(pageFor, pages); err != nil {
		return nil, err
	}
	o.page = o.mem.Bytes()
	if o.ev, err = xendev.OpenEvtchn(nil); err != nil {
		_ = o.mem.Unmap()
		return nil, err
	}
	if o.port, err = o.ev.BindUnbound(portFor); err != nil {
		o.close()
		return nil, err
	}
	o.format(left, right)
	return o, nil
}

func (o *offer) format(left, right uint16) {
	clear(o.page[:4096])
	o.in, o.out = 0, 0
	binary.LittleEndian.PutUint16(o.page[orders:], left)
	binary.LittleEndian.PutUint16(o.page[orders+2:], right)
	for i, ref := range o.refs[1:] {
		binary.LittleEndian.PutUint32(o.page[grants+4*i:], ref)
	}
	o.word(state).Store(0x00010102) // cli_live 2, srv_live 1, cli_notify WRITE
}

func (o *offer) publish(ref, port string) {
	o.g.write(o.g.path+"/event-channel", port)
	o.g.write(o.g.path+"/ring-ref", ref)
	o.g.count("offers", 1)
}

// word is one of the page's, to be read and written at any time.
func (o *offer) word(at int) *atomic.Uint32 { return (*atomic.Uint32)(unsafe.Pointer(&o.page[at])) }

// here says whether the host has connected; gone, that it has left.
func (o *offer) here() bool { return byte(o.word(state).Load()) == 1 }
func (o *offer) gone() bool { return byte(o.word(state).Load()) == 0 }

// taken waits until the host has connected. It does so once a second at most, after a while.
func (o *offer) taken() bool {
	ok := o.g.until(5*time.Second, o.here)
	if ok {
		o.g.count("connects", 1)
	}
	return ok
}

func (o *offer) notify() {
	if o.ev.Notify(o.port) == nil {
		o.g.count("events", 1)
	}
}

// Write puts p into the ring, with an event.
func (o *offer) Write(p []byte) (int, error) {
	for i, b := range p {
		if !o.g.until(10*time.Second, func() bool { return o.out-o.word(rightCons).Load() < rightSize || o.gone() }) || o.gone() {
			return i, os.ErrClosed
		}
		o.page[rightAt+int(o.out%rightSize)] = b
		o.out++
	}
	o.word(rightProd).Store(o.out)
	o.notify()
	return len(p), nil
}

// Read takes what the host wrote, at least a byte.
func (o *offer) Read(p []byte) (int, error) {
	ready := func() bool { return o.word(leftProd).Load() != o.in || o.gone() }
	if !o.g.until(10*time.Second, ready) || o.word(leftProd).Load() == o.in {
		return 0, os.ErrClosed
	}
	n := 0
	for ; n < len(p) && o.in != o.word(leftProd).Load(); n++ {
		p[n] = o.page[leftAt+int(o.in%leftSize)]
		o.in++
	}
	o.word(leftCons).Store(o.in)
	o.notify()
	return n, nil
}

// close takes port and pages back; the nodes stay. It says so: the host would wait for a page that just stays away as long as for a guest that is
// silent, and the next attack with it.
func (o *offer) close() {
	o.word(state).Store(0)
	o.notify()
	_ = o.ev.Close()
	_ = o.mem.Unmap()
}
