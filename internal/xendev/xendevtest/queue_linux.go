package xendevtest

import (
	"encoding/binary"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/xentropyd/xentropyd/internal/xendev"
)

// queue is an open /dev/xen/evtchn. What can be waited for is an eventfd that
// counts what is in the ring.
type queue struct {
	*os.File // the eventfd that the user has
	process  *Process
	fd       int // the same one, for as long as it is open
	ring     []uint32
	ports    map[uint32]*port
}

// OpenPolled implements xendev.System.
func (p *Process) OpenPolled(path string) (xendev.File, error) {
	err := p.begin("open " + path)
	defer p.domain.xen.mu.Unlock()
	if err == nil {
		err = p.missing(path)
	}
	if err != nil {
		return nil, err
	}
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, err
	}
	q := &queue{File: os.NewFile(uintptr(fd), path), process: p, fd: fd, ports: make(map[uint32]*port)}
	p.queues = append(p.queues, q)
	return q, nil
}

// Close ends what is bound, and nothing is signalled any more: the number of
// the descriptor may soon be another's.
func (q *queue) Close() error {
	if q.process.Fault != nil {
		_ = q.process.Fault("close " + q.Name())
	}
	x := q.process.domain.xen
	x.mu.Lock()
	q.closeAll(q.process.domain)
	for i, k := range q.process.queues {
		if k == q {
			q.process.queues = append(q.process.queues[:i:i], q.process.queues[i+1:]...)
			break
		}
	}
	x.mu.Unlock()
	return q.File.Close()
}

func (q *queue) closeAll(d *Domain) {
	for _, p := range q.ports {
		q.unbind(d, p)
	}
}

func (q *queue) unbind(d *Domain, p *port) {
	delete(q.ports, p.number)
	p.queue = nil
	if d.known(p, unbindCall) {
		d.lose(p)
	}
}

func (p *Process) queueOf(fd int) *queue {
	for _, q := range p.queues {
		if q.fd == fd {
			return q
		}
	}
	return nil
}

// push queues an event of a port that is masked from now on.
func (q *queue) push(number uint32) {
	q.ring = append(q.ring, number)
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	_, _ = unix.Write(q.fd, one[:])
}

func (q *queue) read(b []byte) (int, error) {
	n := min(len(b)/4, len(q.ring))
	for i := range n {
		binary.NativeEndian.PutUint32(b[4*i:], q.ring[i])
	}
	q.ring = q.ring[n:]
	if len(q.ring) == 0 {
		var all [8]byte
		_, _ = unix.Read(q.fd, all[:])
	}
	if n == 0 {
		return 0, syscall.EAGAIN
	}
	return 4 * n, nil
}

// unmask is a write of ports; those of others are passed over, as the driver
// does.
func (q *queue) unmask(b []byte) (int, error) {
	for i := range len(b) / 4 {
		p := q.ports[binary.NativeEndian.Uint32(b[4*i:])]
		if p == nil || !p.masked {
			continue
		}
		// Linux leaves the unmasking of a pending port to Xen, which does it
		// only for one that is connected (evtchn_usable in its event.h). Linux
		// takes the other one for unmasked all the same: it stays masked for
		// good, also when somebody binds to it anew.
		p.masked, p.stuck = false, p.pending && p.peer == nil
		if p.pending && !p.stuck {
			p.pending = false
			p.receive()
		}
	}
	return len(b) &^ 3, nil
}
