package source

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"
)

// Batch is what a source delivers at once.
type Batch struct {
	Info Info
	// Data are whole samples that passed the health tests. They are valid
	// during the call and wiped after it: copy or absorb them.
	Data []byte
	// Bits is the assessed min-entropy of Data, 0 for a source not credited.
	Bits float64
}

// Sink takes what passed the health tests. It is called from several
// goroutines at once, and a source waits while it runs.
type Sink func(Batch)

// ErrStuck is wrapped by the error of Run about a source that did not return
// although its context was done and it was closed. Its goroutines stay behind
// until it does.
var ErrStuck = errors.New("source does not return")

// Harvester reads sources, tests every sample, and delivers what passed. Make
// one with [NewHarvester]; its methods may be called from several goroutines.
type Harvester struct {
	cfg     config
	sink    Sink
	workers []*worker

	mu     sync.Mutex
	wanted float64       // bits of open demand
	round  uint64        // number of Demand calls
	wake   chan struct{} // closed by Demand, then replaced
	look   chan struct{} // closed by Look, then replaced
	ran    bool
}

// NewHarvester prepares to harvest sources for sink. It takes the sources over:
// Run closes them when it returns. A nil source is left out. One that is not
// here now ([ErrAbsent]) is looked for again, at first after a second, later
// each minute, and at each [Harvester.Look]. One whose declaration no health
// test can be made of has the state absent and is never read.
func NewHarvester(sources []Source, sink Sink, opts ...Option) *Harvester {
	h := &Harvester{cfg: defaultConfig(), sink: sink, wake: make(chan struct{}), look: make(chan struct{})}
	for _, o := range opts {
		o(&h.cfg)
	}
	for _, s := range sources {
		if s != nil {
			h.workers = append(h.workers, newWorker(h, s))
		}
	}
	return h
}

// Run harvests until ctx is done, with one goroutine per source, and waits for
// all of them. Sources that fail do not end it. Its error is nil unless a
// source could not be closed, is stuck ([ErrStuck]), or Run was called before.
func (h *Harvester) Run(ctx context.Context) error {
	h.mu.Lock()
	again := h.ran
	h.ran = true
	h.mu.Unlock()
	if again {
		return errors.New("run harvester: it ran before and its sources are closed; make a new one")
	}
	for _, w := range h.workers {
		go w.run(ctx)
	}
	<-ctx.Done()
	return h.stop()
}

// stop waits for the workers and closes their sources. A source that does not
// return by itself gets the grace twice: before it is closed, and after.
func (h *Harvester) stop() error {
	h.await(func(w *worker) <-chan struct{} { return w.done })
	for _, w := range h.workers {
		go w.close() // a device that hangs may hang here too
	}
	var errs []error
	left := h.await(func(w *worker) <-chan struct{} { return w.closed })
	for _, w := range h.workers {
		switch {
		case slices.Contains(left, w):
			errs = append(errs, fmt.Errorf("stop source %s: %w", w.info.Name, ErrStuck))
		case w.closeError != nil:
			errs = append(errs, fmt.Errorf("close source %s: %w", w.info.Name, w.closeError))
		}
	}
	return errors.Join(errs...)
}

// await waits until each worker's channel is closed, for all of them within one
// grace, and returns those whose is not.
func (h *Harvester) await(end func(*worker) <-chan struct{}) (left []*worker) {
	if len(h.workers) == 0 {
		return nil
	}
	over := time.NewTimer(h.cfg.grace)
	defer over.Stop()
	late := false
	for _, w := range h.workers {
		if !late {
			select {
			case <-end(w):
			case <-over.C:
				late = true
			}
		}
		select {
		case <-end(w):
		default:
			left = append(left, w)
		}
	}
	return left
}

// Look makes every source that is absent be looked for at once: after a driver
// was loaded, say. It does not wait for them.
func (h *Harvester) Look() {
	h.mu.Lock()
	defer h.mu.Unlock()
	close(h.look)
	h.look = make(chan struct{})
}

// looking returns a channel that is closed by the next Look.
func (h *Harvester) looking() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.look
}

// Demand asks for so many more bits of assessed min-entropy now: all credited
// sources are read as fast as they go until as much has been delivered since,
// by any of them. Sources that are not credited give one batch. What is open
// already adds up.
func (h *Harvester) Demand(bits int) {
	if bits <= 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wanted = min(h.wanted+float64(bits), math.MaxInt32)
	h.round++
	close(h.wake)
	h.wake = make(chan struct{})
}

// open returns the demand still open, the number of demands so far, and a
// channel that is closed by the next one.
func (h *Harvester) open() (bits float64, round uint64, next <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.wanted, h.round, h.wake
}

func (h *Harvester) delivered(bits float64) {
	h.mu.Lock()
	h.wanted = max(0, h.wanted-bits)
	h.mu.Unlock()
}

// Status returns the status of every source, in the order given to
// NewHarvester.
func (h *Harvester) Status() []Status {
	out := make([]Status, len(h.workers))
	for i, w := range h.workers {
		out[i] = w.snapshot()
	}
	return out
}

// Healthy returns how many credited sources are healthy now.
func (h *Harvester) Healthy() int {
	n := 0
	for _, w := range h.workers {
		if s := w.snapshot(); s.Healthy && s.Credited {
			n++
		}
	}
	return n
}
