package local

import (
	"net"
	"slices"
	"sync"
	"time"
)

// queue bounds the guests between connect and Accept, and is fair to users:
// when it is full, who has said nothing yet has to go, the oldest one of the
// user who has most of them. Guests that have spoken are never turned out.
type queue struct {
	mu     sync.Mutex
	cond   sync.Cond // a place came free
	room   int
	silent []*pending // connected, nothing heard, oldest first
	closed bool
}

type pending struct {
	uc   *net.UnixConn
	peer Peer

	placed bool  // counts against room
	why    error // turned away by the queue
}

func (q *queue) init(room int) {
	q.room = room
	q.cond.L = &q.mu
}

// admit gives a place, or nil when the queue is closed.
func (q *queue) admit(uc *net.UnixConn, peer Peer) *pending {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.room == 0 && !q.closed {
		if !q.evict() {
			q.cond.Wait()
		}
	}
	if q.closed {
		return nil
	}
	q.room--
	p := &pending{uc: uc, peer: peer, placed: true}
	q.silent = append(q.silent, p)
	return p
}

// evict frees a place, if there is anybody silent.
func (q *queue) evict() bool {
	count := make(map[uint32]int)
	most := 0
	for _, p := range q.silent {
		count[p.peer.UID]++
		most = max(most, count[p.peer.UID])
	}
	for _, p := range q.silent {
		if count[p.peer.UID] == most {
			q.turnAway(p, errEvicted)
			return true
		}
	}
	return false
}

// turnAway takes the place and wakes the guest's goroutine.
func (q *queue) turnAway(p *pending, why error) {
	q.release(p)
	p.why = why
	_ = p.uc.SetReadDeadline(time.Unix(1, 0))
}

// release takes p off the silent ones and gives its place back, once.
func (q *queue) release(p *pending) {
	q.unsilence(p)
	if p.placed {
		p.placed = false
		q.room++
		q.cond.Signal()
	}
}

func (q *queue) unsilence(p *pending) {
	if i := slices.Index(q.silent, p); i >= 0 {
		q.silent = slices.Delete(q.silent, i, i+1)
	}
}

// limit sets the time for the offer, unless the guest was turned away already.
func (q *queue) limit(p *pending, t time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if p.why == nil {
		_ = p.uc.SetDeadline(t)
	}
}

// heard makes p one that has spoken; it gives why p was turned away, if it was.
func (q *queue) heard(p *pending) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.unsilence(p)
	return p.why
}

// leave ends a handshake that failed. After one that did not, the place is
// kept until Accept, which calls free.
func (q *queue) leave(p *pending) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.release(p)
}

func (q *queue) free() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.room++
	q.cond.Signal()
}

// close turns away the silent ones and lets nobody in; it says whether it was
// the first to do so.
func (q *queue) close() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	q.closed = true
	for len(q.silent) > 0 {
		q.turnAway(q.silent[0], errClosing)
	}
	q.cond.Broadcast()
	return true
}
