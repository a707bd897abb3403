package transport

import (
	"sync"
	"time"

	"github.com/xentropyd/xentropyd/xenstore"
)

// heritageTime is how long what a restored channel leaves behind waits for the next dial (our choice). A guest that follows its host dials at once.
const heritageTime = 5 * time.Second

// belongings are what a channel has besides itself.
type belongings struct {
	store  *xenstore.Client
	watch  *domainWatch // one that has ended its channel, nil for none
	unlock func()
	own    uint16   // the domain's number
	next   *offered // the next channel, nil for none
}

// takeNext gives the next channel if it is for host, and nil without one. One for another host is closed.
func (b *belongings) takeNext(host uint16) *offered {
	if b.next != nil && b.next.host != host {
		b.dropNext()
	}
	next := b.next
	b.next = nil
	return next
}

// dropNext closes the next channel and takes its path out of xenstore.
func (b *belongings) dropNext() {
	if b.next == nil {
		return
	}
	_ = b.next.conn.Close()
	b.next = nil
}

// release gives all of it back and waits for the watch.
func (b *belongings) release() {
	b.dropNext()
	if b.watch != nil {
		b.watch.stop()
	}
	if b.store != nil {
		_ = b.store.Close()
	}
	if b.unlock != nil {
		b.unlock()
	}
}

// heritage is what the last channel of this process left when its domain was restored. A restored domain runs each piece of code for the first
// time, with one CPU and its caches cold: to close, open and lock all of it anew would take longer than to make the channel.
type heritage struct {
	mu    sync.Mutex
	left  *belongings
	timer *time.Timer
}

// leave keeps b for the next dial, for heritageTime.
func (h *heritage) leave(b belongings) {
	h.drop() // where nothing is locked there may be two channels
	h.mu.Lock()
	defer h.mu.Unlock()
	h.left = &b
	h.timer = time.AfterFunc(heritageTime, h.drop)
}

// take gives what was left to the one who asks first, nil if there is nothing.
func (h *heritage) take() *belongings {
	h.mu.Lock()
	defer h.mu.Unlock()
	b := h.left
	if b != nil {
		h.left = nil
		h.timer.Stop()
	}
	return b
}

// drop releases what nobody took.
func (h *heritage) drop() {
	if b := h.take(); b != nil {
		b.release()
	}
}
