package local

import (
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// bed is a place to doze in, with an eventfd that no peer has, by which the
// dozer is roused. There is one for each CPU, so that no more threads doze, and
// a channel costs no descriptor more.
//
// The dozer may have left, and another have come, when rouse writes: that one
// goes on to the poller early, which does no harm.
type bed struct {
	taken atomic.Bool
	fd    int // -1 until made; written by who has taken the bed, under mu

	mu  sync.Mutex // rouse does not own the bed
	buf [8]byte
}

var (
	beds      = makeBeds(runtime.NumCPU())
	bedGuests atomic.Int32 // channels in the process; the last one to go takes the descriptors along
)

func makeBeds(n int) []bed {
	b := make([]bed, n)
	for i := range b {
		b[i].fd = -1
	}
	return b
}

// takeBed gives nil when all are taken or the process is out of descriptors.
func takeBed() *bed {
	for i := range beds {
		b := &beds[i]
		if b.taken.Load() || !b.taken.CompareAndSwap(false, true) {
			continue
		}
		if b.fd >= 0 || b.make() {
			return b
		}
		b.taken.Store(false)
		return nil
	}
	return nil
}

func (b *bed) make() bool {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return false
	}
	b.mu.Lock()
	b.fd = fd
	b.mu.Unlock()
	return true
}

// give is the dozer's end.
func (b *bed) give() {
	b.taken.Store(false)
	if bedGuests.Load() == 0 { // all channels went while we dozed
		closeBeds()
	}
}

// drain is for the dozer. The description is ours alone, so it is non-blocking.
func (b *bed) drain() { _ = readPlain(b.fd, b.buf[:]) }

// rouse wakes who is in the bed, from any goroutine at any time.
func (b *bed) rouse() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fd >= 0 {
		_ = addOne(b.fd)
	}
}

// enterBeds and leaveBeds count the channels.
func enterBeds() { bedGuests.Add(1) }

func leaveBeds() {
	if bedGuests.Add(-1) == 0 {
		closeBeds()
	}
}

// closeBeds leaves alone who still dozes: it comes here itself. A bed closed
// just as the next channel came is made again.
func closeBeds() {
	for i := range beds {
		b := &beds[i]
		if !b.taken.CompareAndSwap(false, true) {
			continue
		}
		b.mu.Lock()
		if b.fd >= 0 {
			_ = unix.Close(b.fd)
			b.fd = -1
		}
		b.mu.Unlock()
		b.taken.Store(false)
	}
}
