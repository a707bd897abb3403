package xendevtest

import (
	"encoding/binary"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/xentropyd/xentropyd/internal/xendev"
)

// Request numbers as the kernel's headers give them, the same everywhere.
// Others stand in numbers_*.go.
const (
	bindInterdomain = 0x84501
	bindUnbound     = 0x44502
	unbindPort      = 0x44503
	notifyPort      = 0x44504

	mapGrantRef   = 0x184700
	unmapGrantRef = 0x104701
	unmapNotify   = 0x104707
)

var order = binary.NativeEndian

// Ioctl implements xendev.System.
func (p *Process) Ioctl(fd int, request uint32, arg []byte) (int, error) {
	err := p.begin(fmt.Sprintf("ioctl %#x", request))
	defer p.domain.xen.mu.Unlock()
	if err != nil {
		return 0, err
	}
	if q := p.queueOf(fd); q != nil {
		return q.ioctl(request, arg)
	}
	f := p.files[fd]
	switch {
	case f == nil:
		return 0, syscall.EBADF
	case f.path == xendev.GntdevPath:
		return 0, p.gntdev(f, request, arg)
	}
	return 0, p.gntalloc(f, request, arg)
}

func (q *queue) ioctl(request uint32, arg []byte) (int, error) {
	d := q.process.domain
	switch v := order.Uint32(arg); request {
	case bindUnbound:
		return q.bind(&port{remote: uint16(v)})
	case bindInterdomain:
		r := d.xen.domains[uint16(v)]
		if r == nil {
			return 0, syscall.ESRCH
		}
		rp := r.ports[order.Uint32(arg[4:])]
		if rp == nil || rp.peer != nil || rp.remote != d.id {
			return 0, syscall.EINVAL
		}
		own := &port{remote: r.id, peer: rp}
		rp.peer = own
		n, err := q.bind(own)
		own.receive() // pending once, at once
		return n, err
	case unbindPort:
		p := q.ports[v]
		if p == nil {
			return 0, syscall.ENOTCONN
		}
		q.unbind(d, p)
		return 0, nil
	case notifyPort:
		p := q.ports[v]
		if p == nil {
			return 0, syscall.ENOTCONN
		}
		d.send(p)
		return 0, nil
	}
	return 0, syscall.ENOSYS
}

func (q *queue) bind(p *port) (int, error) {
	d := q.process.domain
	d.lastPort++
	if q.ports[d.lastPort] != nil {
		return 0, syscall.EEXIST // add_evtchn: one of before a restore
	}
	p.number, p.domain, p.queue, p.refs = d.lastPort, d, q, 1
	d.ports[p.number] = p
	q.ports[p.number] = p
	return int(p.number), nil
}

func (p *Process) gntdev(f *file, request uint32, arg []byte) error {
	switch request {
	case mapGrantRef:
		n := order.Uint32(arg)
		a := &area{index: f.next, users: 1}
		for i := range n {
			a.domid = uint16(order.Uint32(arg[16+8*i:])) // one domain for all, as xendev has it
			a.refs = append(a.refs, order.Uint32(arg[20+8*i:]))
		}
		f.add(a, int(n), arg)
		return nil
	case unmapGrantRef:
		a := f.areas[order.Uint64(arg)]
		if a == nil || order.Uint32(arg[8:]) != uint32(len(a.refs)) {
			return syscall.ENOENT
		}
		p.release(f, a)
		return nil
	case unmapNotify:
		index := order.Uint64(arg)
		for _, a := range f.areas {
			if index < a.index || index >= a.index+uint64(len(a.refs)*pageSize) {
				continue
			}
			in := index - a.index
			g, err := p.domain.xen.grantOf(a.domid, a.refs[in/pageSize], p.domain.id)
			if err != nil {
				return err
			}
			return p.ask(&a.notify, g.at+int64(in%pageSize), arg)
		}
		return syscall.ENOENT
	}
	return syscall.ENOTTY
}

func (f *file) add(a *area, pages int, arg []byte) {
	f.areas[a.index] = a
	f.next += uint64(pages * pageSize)
	order.PutUint64(arg[8:], a.index)
}

func (p *Process) gntalloc(f *file, request uint32, arg []byte) error {
	d := p.domain
	switch request {
	case allocGref:
		d.clean()
		n := int(order.Uint32(arg[4:]))
		if len(d.grants)+n > d.limit {
			return syscall.ENOSPC
		}
		a := &area{index: f.next}
		for i := range n {
			d.lastRef++
			g := &grant{
				ref: d.lastRef, to: order.Uint16(arg), at: d.xen.size, users: 1,
				readonly: order.Uint16(arg[2:])&1 == 0,
			}
			d.xen.size += pageSize
			d.grants[g.ref] = g
			a.grants = append(a.grants, g)
			order.PutUint32(arg[16+4*i:], g.ref)
		}
		f.add(a, n, arg)
		return unix.Ftruncate(d.xen.memory, d.xen.size)
	case deallocGref:
		a := f.areas[order.Uint64(arg)]
		if a == nil || order.Uint32(arg[8:]) != uint32(len(a.grants)) {
			return syscall.EINVAL
		}
		p.release(f, a)
		return nil
	case unmapNotify:
		index := order.Uint64(arg)
		for _, a := range f.areas {
			if index >= a.index && index < a.index+uint64(len(a.grants)*pageSize) {
				in := index - a.index
				g := a.grants[in/pageSize]
				return p.ask(&g.notify, g.at+int64(in%pageSize), arg)
			}
		}
		return syscall.ENOENT
	}
	return syscall.ENOTTY
}

// ask sets a notification; the port gets one more user.
func (p *Process) ask(n *notification, at int64, arg []byte) error {
	action := order.Uint32(arg[8:])
	if action&^3 != 0 {
		return syscall.EINVAL
	}
	var pt *port
	if action&2 != 0 {
		if pt = p.domain.ports[order.Uint32(arg[12:])]; pt == nil {
			return syscall.EINVAL
		}
		pt.refs++
	}
	switch {
	case n.port == nil:
	case pt != nil && pt.number == n.port.number:
		pt.refs-- // one more and one less for one number
		pt = n.port
	default:
		p.domain.put(n.port)
	}
	*n = notification{clear: action&1 != 0, byte: at, port: pt}
	return nil
}
