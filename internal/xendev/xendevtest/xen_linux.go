package xendevtest

import (
	"fmt"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

const pageSize = 4096

// Xen is the host.
type Xen struct {
	mu      sync.Mutex
	memory  int   // a memfd with all pages of all domains
	size    int64 // bytes of it that were ever in use
	domains map[uint16]*Domain
}

// Domain is one domain with its kernel.
type Domain struct {
	xen       *Xen
	id        uint16
	dead      bool
	limit     int // gntalloc's module parameter
	grants    map[uint32]*grant
	ports     map[uint32]*port
	lastRef   uint32
	lastPort  uint32
	processes []*Process
	bugs      []string
	ending    bool // a process is killed
}

// Counts are what a domain holds.
type Counts struct {
	Grants   int // pages granted and not given back
	Mappings int // pages of other domains mapped
	Ports    int // event channels
}

// grant is a page and who may map it.
type grant struct {
	ref      uint32
	to       uint16
	at       int64 // in the memfd
	readonly bool
	users    int // the granting side: open file, mapping
	mapped   int // by others
	notify   notification
}

// port is one end of an event channel.
type port struct {
	number  uint32
	remote  uint16
	peer    *port // nil while unbound
	domain  *Domain
	queue   *queue // nil once the user has unbound it
	refs    int    // the user and each notification
	masked  bool   // its user has an event of it, and has not unmasked it
	pending bool
	stuck   bool // masked for Xen, not for Linux: no event comes through any more
}

// notification is what UNMAP_NOTIFY asked for.
type notification struct {
	clear bool
	byte  int64 // in the memfd
	port  *port
}

// New makes a host without domains. Close gives its memory back.
func New() (*Xen, error) {
	fd, err := unix.MemfdCreate("xendevtest", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make a memfd: %w", err)
	}
	return &Xen{memory: fd, domains: make(map[uint16]*Domain)}, nil
}

// Close gives the host's memory back. What processes have mapped they keep.
func (x *Xen) Close() error { return unix.Close(x.memory) }

// Domain gives a domain, and makes it if it is not there.
func (x *Xen) Domain(id uint16) *Domain {
	x.mu.Lock()
	defer x.mu.Unlock()
	d := x.domains[id]
	if d == nil {
		// The first 8 references are reserved (grant_table.h).
		d = &Domain{
			xen: x, id: id, limit: 1024, lastRef: 7, grants: make(map[uint32]*grant),
			ports: make(map[uint32]*port),
		}
		x.domains[id] = d
	}
	return d
}

// SetLimit sets the limit of pages that gntalloc hands out.
func (d *Domain) SetLimit(pages int) {
	d.xen.mu.Lock()
	defer d.xen.mu.Unlock()
	d.limit = pages
}

// Counts says what the domain holds now.
func (d *Domain) Counts() (c Counts) {
	d.xen.mu.Lock()
	defer d.xen.mu.Unlock()
	d.clean()
	c.Grants, c.Ports = len(d.grants), len(d.ports)
	for _, p := range d.processes {
		for _, m := range p.maps {
			if m.foreign {
				c.Mappings += len(m.grants)
			}
		}
	}
	return c
}

// Flood sends an event through each port of the domain, as a program of
// it may do at any time.
func (d *Domain) Flood() {
	d.xen.mu.Lock()
	defer d.xen.mu.Unlock()
	for _, p := range d.ports {
		d.send(p)
	}
}

// Destroy ends the domain as xl destroy does: its ports and mappings go, nobody
// is told, and of its pages those that others have mapped stay.
func (d *Domain) Destroy() {
	d.xen.mu.Lock()
	defer d.xen.mu.Unlock()
	d.dead = true
	for _, p := range d.processes {
		p.vanish()
	}
	for _, p := range d.ports {
		if p.peer != nil {
			p.peer.peer = nil
		}
	}
	d.ports = make(map[uint32]*port)
	for ref, g := range d.grants {
		g.users = 0
		if g.mapped == 0 {
			delete(d.grants, ref)
		}
	}
	delete(d.xen.domains, d.id)
}

// Zombie says whether the destroyed domain is held by mappings of others.
func (d *Domain) Zombie() bool {
	d.xen.mu.Lock()
	defer d.xen.mu.Unlock()
	d.clean()
	return d.dead && len(d.grants) > 0
}

// clean is gntalloc's do_cleanup: pages that nobody uses any more.
func (d *Domain) clean() {
	for ref, g := range d.grants {
		if g.users == 0 && g.mapped == 0 {
			_ = unix.Fallocate(d.xen.memory, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, g.at, pageSize)
			delete(d.grants, ref)
		}
	}
}

// drop is one user less of a grant of ours.
func (d *Domain) drop(g *grant) {
	if g.users--; g.users > 0 {
		return
	}
	d.notify(&g.notify)
	d.clean()
}

// notify does what was asked for the unmapping.
func (d *Domain) notify(n *notification) {
	if n.clear {
		n.clear = false
		_, _ = unix.Pwrite(d.xen.memory, []byte{0}, n.byte)
	}
	if p := n.port; p != nil {
		n.port = nil
		d.send(p)
		d.put(p)
	}
}

// send is notify_remote_via_evtchn.
func (d *Domain) send(p *port) {
	if p.peer != nil {
		p.peer.receive()
	}
}

func (p *port) receive() {
	switch {
	case p.queue == nil: // no handler
	case p.masked || p.stuck:
		p.pending = true
	default:
		p.masked = true
		p.queue.push(p.number)
	}
}

// put is evtchn_put: the last one closes the port.
func (d *Domain) put(p *port) {
	if !d.known(p, putPort) {
		return
	}
	d.lose(p)
}

// lose is one user less of a port.
func (d *Domain) lose(p *port) {
	if p.refs--; p.refs > 0 {
		return
	}
	delete(d.ports, p.number)
	if p.peer != nil {
		p.peer.peer = nil
	}
}

func (x *Xen) grantOf(domid uint16, ref uint32, to uint16) (*grant, error) {
	d := x.domains[domid]
	if d == nil {
		return nil, syscall.EINVAL
	}
	g := d.grants[ref]
	if g == nil || g.to != to || g.readonly || g.users == 0 {
		return nil, syscall.EINVAL
	}
	return g, nil
}
