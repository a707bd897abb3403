package source

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync/atomic"
)

// arrivalsRing is how many arrivals are kept between two readings, a power of
// two; what comes while it is full is dropped.
const arrivalsRing = 1024

// Arrivals is the source of the arrival times of the process's own events:
// whoever sees one calls [Arrivals.Mark]. A sample is the difference of the
// counter between two arrivals, 8 bytes. It is not credited, because a hostile
// peer chooses when to send and may see the same clock.
type Arrivals struct {
	slots  [arrivalsRing]atomic.Uint64 // counter value of an arrival, or 0
	head   atomic.Uint64               // next slot to write
	tail   atomic.Uint64               // next slot to read
	last   uint64                      // of the reader
	closed atomic.Bool
}

// NewArrivals makes the source with nothing in it.
func NewArrivals() *Arrivals { return &Arrivals{} }

// Mark notes that an event arrives now. It never blocks or allocates, takes
// some tens of nanoseconds, and may be called from any goroutine.
func (a *Arrivals) Mark() { a.mark(counter()) }

func (a *Arrivals) mark(now uint64) {
	for {
		head := a.head.Load()
		if head-a.tail.Load() >= arrivalsRing {
			return
		}
		if a.head.CompareAndSwap(head, head+1) {
			// 0 says that a slot is not written yet.
			a.slots[head%arrivalsRing].Store(max(now, 1))
			return
		}
	}
}

// Info describes the source.
func (a *Arrivals) Info() Info { return arrivalsInfo }

// Close makes later calls of Sample fail. Mark may still be called.
func (a *Arrivals) Close() error {
	a.closed.Store(true)
	return nil
}

// Sample gives what has arrived, which may be nothing.
func (a *Arrivals) Sample(ctx context.Context, dst []byte) (int, error) {
	if a.closed.Load() {
		return 0, fmt.Errorf("%s: %w", NameArrivals, ErrClosed)
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	n := 0
	for len(dst)-n >= 8 {
		tail := a.tail.Load()
		slot := &a.slots[tail%arrivalsRing]
		if tail == a.head.Load() {
			break
		}
		at := slot.Swap(0)
		if at == 0 {
			break // its writer is between its two steps
		}
		a.tail.Store(tail + 1)
		binary.LittleEndian.PutUint64(dst[n:], at-a.last)
		a.last = at
		n += 8
	}
	return n, nil
}
