package xendevtest

import "fmt"

// Restore is a save and restore between two system calls of the domain's
// processes: it goes on as the domain to. Its event channels and grants are
// gone, and the numbers of ports are given out from the beginning again, so
// that the next ones are mostly those that its processes had. What its
// processes have open and mapped stays, and so does what Linux keeps of it: see
// Bugs.
func (d *Domain) Restore(to uint16) {
	x := d.xen
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, p := range d.ports {
		if p.peer != nil {
			p.peer.peer = nil
			p.peer = nil
		}
	}
	// xen_irq_resume: no port leads to an interrupt any more.
	d.ports, d.lastPort = make(map[uint32]*port), 0
	// The grant table of the new domain is empty. The kernel goes on counting
	// its references.
	d.grants = make(map[uint32]*grant)
	delete(x.domains, d.id)
	d.id = to
	x.domains[to] = d
}

// Bugs are what the domain's kernel has met that it does not survive well, each
// with the call that led to it: a process unbound an event channel of before a
// restore, which Linux answers with BUG_ON(irq < 0), or with a port taken from
// its owner where the number is in use again (evtchn_unbind_from_user,
// drivers/xen/evtchn.c); or the kernel did so for a notification that a process
// had asked for (evtchn_put, drivers/xen/events/events_base.c: a warning, or
// likewise a port taken). What happens when a process is killed does not count.
func (d *Domain) Bugs() []string {
	d.xen.mu.Lock()
	defer d.xen.mu.Unlock()
	return append([]string(nil), d.bugs...)
}

// known says whether the kernel knows a port of a process still. If not, this
// call is a bug.
func (d *Domain) known(p *port, call string) bool {
	now := d.ports[p.number]
	if now == p {
		return true
	}
	what := "BUG_ON(irq < 0)"
	if call == putPort {
		what = "WARN_ON(irq == -1)"
	}
	if now != nil {
		what = "it takes the port of another channel"
	}
	if !d.ending {
		d.bugs = append(d.bugs, fmt.Sprintf("%s of port %d, which was bound before the restore: %s", call, p.number,
			what))
	}
	return false
}

// Calls that give a port back.
const (
	unbindCall = "evtchn_unbind_from_user"
	putPort    = "evtchn_put"
)
