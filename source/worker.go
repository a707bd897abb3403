package source

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/xentropyd/xentropyd/source/health"
)

// maxBatch is the most that is read, tested and delivered at once: 1,024 words,
// about 20 microseconds of RDRAND, and also what a start-up test needs.
const maxBatch = 8 * health.StartupSamples

var errNotWhole = errors.New("returned a part of a sample")

// worker owns one source: its run method is the only one that reads it.
type worker struct {
	h       *Harvester
	src     Source
	info    Info
	pace    Pace
	monitor *health.Monitor
	backoff backoff
	round   uint64 // of the demand that was last answered
	done    chan struct{}

	mu      sync.Mutex
	status  Status
	reading time.Time     // when the call of Sample in progress began, or zero
	bytes   uint64        // read in all
	spent   time.Duration // in Sample in all
}

func newWorker(h *Harvester, s Source) *worker {
	w := &worker{h: h, src: s, info: s.Info(), done: make(chan struct{})}
	w.status = newStatus(w.info)
	w.backoff = backoff{first: h.cfg.backoffMin, most: h.cfg.backoffMax}
	w.pace = h.cfg.pace(w.info)
	d := DefaultPace(w.info)
	if w.pace.Every <= 0 {
		w.pace.Every = d.Every
	}
	if w.pace.Samples <= 0 {
		w.pace.Samples = d.Samples
	}
	m, err := health.New(health.Config{
		SampleBytes: w.info.SampleBytes, MinEntropy: w.info.MinEntropy, Alpha: h.cfg.alpha,
	})
	if err != nil {
		w.status.State, w.status.LastError = StateAbsent, err.Error()
		return w
	}
	w.monitor = m
	return w
}

func (w *worker) run(ctx context.Context) {
	defer close(w.done)
	if w.monitor == nil {
		w.h.cfg.log.Error("noise source refused", "source", w.info.Name, "error", w.status.LastError)
		return
	}
	buf := make([]byte, maxBatch)
	for ctx.Err() == nil {
		err := w.live(ctx, buf)
		clear(buf)
		w.monitor.Reset() // it remembers the last samples
		if ctx.Err() != nil {
			return
		}
		wait := w.backoff.failed(w.h.cfg.clock.Now())
		w.quarantine(err, wait)
		if !w.sleep(ctx, wait) {
			return
		}
		w.enter(StateStarting)
	}
}

// live is one life of the source, from the start-up test to its failure.
func (w *worker) live(ctx context.Context, buf []byte) error {
	if err := w.startup(ctx, buf); err != nil {
		return err
	}
	w.backoff.passed(w.h.cfg.clock.Now())
	w.enter(StateHealthy)
	w.deliver(buf[:health.StartupSamples*w.info.SampleBytes])
	for {
		n, ok := w.next(ctx)
		if !ok {
			return ctx.Err()
		}
		got, err := w.read(ctx, buf[:n])
		if err != nil {
			return err
		}
		w.deliver(buf[:got])
		if got == 0 && !w.sleep(ctx, w.emptyWait()) {
			return ctx.Err()
		}
	}
}

// emptyLimit is how long a source that had nothing is left alone at most, if what it gives counts.
const emptyLimit = time.Second

func (w *worker) emptyWait() time.Duration {
	if w.info.Credited {
		return min(w.pace.Every, emptyLimit)
	}
	return w.pace.Every
}

// startup reads and tests the first samples; all of them are in buf then. The
// monitor is new or was reset.
func (w *worker) startup(ctx context.Context, buf []byte) error {
	buf = buf[:health.StartupSamples*w.info.SampleBytes]
	for len(buf) > 0 {
		n, err := w.read(ctx, buf)
		if err != nil {
			return err
		}
		buf = buf[n:]
		if n == 0 && !w.sleep(ctx, w.emptyWait()) {
			return ctx.Err()
		}
	}
	return nil
}

// next waits until a batch is due and returns its size in bytes.
func (w *worker) next(ctx context.Context) (int, bool) {
	size := w.info.SampleBytes
	paced := min(w.pace.Samples*size, maxBatch/size*size)
	for {
		bits, round, wake := w.h.open()
		if bits > 0 && w.info.Credited {
			w.round = round
			samples := min(bits/w.info.MinEntropy+1, float64(maxBatch/size))
			return int(samples) * size, ctx.Err() == nil
		}
		if round != w.round {
			w.round = round
			return paced, ctx.Err() == nil
		}
		over, release := w.h.cfg.clock.After(w.pace.Every)
		select {
		case <-ctx.Done():
			release()
			return 0, false
		case <-wake:
			release()
		case <-over:
			return paced, true
		}
	}
}

// sleep waits for d and reports whether ctx is still alive.
func (w *worker) sleep(ctx context.Context, d time.Duration) bool {
	over, release := w.h.cfg.clock.After(d)
	defer release()
	select {
	case <-ctx.Done():
		return false
	case <-over:
		return true
	}
}

// read gets samples and tests them.
func (w *worker) read(ctx context.Context, buf []byte) (int, error) {
	rctx, cancel := context.WithTimeout(ctx, w.h.cfg.readTimeout)
	begin := w.h.cfg.clock.Now()
	w.mu.Lock()
	w.reading = begin
	w.mu.Unlock()
	n, err := w.src.Sample(rctx, buf)
	cancel()
	w.mu.Lock()
	w.reading = time.Time{}
	if n > 0 && n <= len(buf) {
		w.bytes += uint64(n)
		w.spent += w.h.cfg.clock.Now().Sub(begin)
	}
	w.mu.Unlock()
	switch {
	case err != nil:
		return 0, fmt.Errorf("read source %s: %w", w.info.Name, err)
	case n < 0 || n > len(buf) || n%w.info.SampleBytes != 0:
		return 0, fmt.Errorf("read source %s: %w: %d bytes", w.info.Name, errNotWhole, n)
	}
	if err := w.monitor.Check(buf[:n]); err != nil {
		return 0, fmt.Errorf("source %s: %w", w.info.Name, err)
	}
	return n, nil
}

// deliver hands tested samples over and wipes them.
func (w *worker) deliver(data []byte) {
	if len(data) == 0 {
		return
	}
	samples := len(data) / w.info.SampleBytes
	bits := 0.0
	if w.info.Credited {
		bits = float64(samples) * w.info.MinEntropy
	}
	w.h.sink(Batch{Info: w.info, Data: data, Bits: bits})
	clear(data)
	w.h.delivered(bits)
	w.mu.Lock()
	w.status.Samples += uint64(samples)
	w.status.MinEntropyBits += bits
	w.mu.Unlock()
}
