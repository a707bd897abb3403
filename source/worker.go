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

// emptyLimit is how long a source that had nothing is left alone at most, if
// what it gives counts.
const emptyLimit = time.Second

var (
	errNotWhole = errors.New("returned a part of a sample")
	errLate     = errors.New("call has not returned")
)

// worker owns one source: its run method is the only one that has it read, by
// one call at a time.
type worker struct {
	h       *Harvester
	src     Source
	info    Info // the name never changes; the rest is for run alone
	pace    Pace
	monitor *health.Monitor
	buf     []byte
	late    *call   // given up, and not returned yet
	backoff backoff // after a failure
	looks   backoff // while absent
	warned  string  // the failure that was warned of, until it is healthy
	round   uint64  // of the demand that was last answered
	done    chan struct{}

	closed     chan struct{}
	closeError error // valid once closed is

	mu      sync.Mutex
	status  Status
	retryAt time.Time     // or zero
	reading time.Time     // when the call of Sample in progress began, or zero
	bytes   uint64        // read in all
	spent   time.Duration // in Sample in all
}

func newWorker(h *Harvester, s Source) *worker {
	w := &worker{h: h, src: s, info: s.Info(), done: make(chan struct{}), closed: make(chan struct{})}
	w.status = newStatus(w.info)
	w.backoff = backoff{first: h.cfg.backoffMin, most: h.cfg.backoffMax}
	w.looks = backoff{first: lookFirst, most: lookMost}
	w.pace = h.cfg.pace(w.info)
	if w.pace.Every <= 0 || w.pace.Samples <= 0 {
		panic(fmt.Sprintf("source: pace of %d samples every %v", w.pace.Samples, w.pace.Every))
	}
	m, err := w.newMonitor()
	if err != nil {
		w.status.State, w.status.LastError = StateAbsent, err.Error()
		return w
	}
	w.monitor = m
	return w
}

// newMonitor makes the health tests of what the source declares.
func (w *worker) newMonitor() (*health.Monitor, error) {
	alpha := w.h.cfg.alpha
	if err := CheckAlpha(alpha); err != nil {
		return nil, fmt.Errorf("false-alarm probability of %w", err)
	}
	return health.New(health.Config{SampleBytes: w.info.SampleBytes, MinEntropy: w.info.MinEntropy, Alpha: alpha})
}

func (w *worker) run(ctx context.Context) {
	defer close(w.done)
	if w.monitor == nil {
		w.h.cfg.log.Error("noise source refused", "source", w.info.Name, "error", w.status.LastError)
		return
	}
	w.buf = make([]byte, maxBatch)
	for ctx.Err() == nil {
		look := w.h.looking() // before the look itself, so that none is missed
		err := w.live(ctx)
		w.monitor.Reset() // it remembers the last samples
		if ctx.Err() != nil {
			w.settle()
			return
		}
		now := time.Now()
		if errors.Is(err, ErrAbsent) {
			wait := w.looks.failed(now)
			w.absent(err, wait)
			w.settle()
			if w.rest(ctx, wait, look) {
				w.looks.last = 0
			}
			continue
		}
		wait := w.backoff.failed(now)
		w.quarantine(err, wait)
		w.settle()
		w.rest(ctx, wait, nil)
		if ctx.Err() == nil {
			w.enter(StateStarting)
		}
	}
}

// close closes the source, which may hang, and waits for run.
func (w *worker) close() {
	w.closeError = w.src.Close()
	<-w.done
	close(w.closed)
}

// settle wipes the buffer. A call that was late owns its part of it until it
// returns, which settle waits for.
func (w *worker) settle() {
	if c := w.late; c != nil {
		clear(w.buf[:c.from])
		<-c.answer
		w.late = nil
		w.answered(0)
	}
	clear(w.buf)
}

// rest waits for d, the end of ctx or a look, and reports whether it was the
// look.
func (w *worker) rest(ctx context.Context, d time.Duration, look <-chan struct{}) bool {
	w.retryIn(d)
	over := time.NewTimer(d)
	defer over.Stop()
	defer w.retryIn(0)
	select {
	case <-ctx.Done():
	case <-over.C:
	case <-look:
		return true
	}
	return false
}

// live is one life of the source, from the start-up test to its failure.
func (w *worker) live(ctx context.Context) error {
	if err := w.startup(ctx); err != nil {
		return err
	}
	now := time.Now()
	w.backoff.passed(now)
	w.looks.passed(now)
	w.warned = ""
	w.enter(StateHealthy)
	w.deliver(w.buf[:health.StartupSamples*w.info.SampleBytes])
	for {
		n, ok := w.next(ctx)
		if !ok {
			return ctx.Err()
		}
		got, err := w.fetch(ctx, 0, n)
		if err != nil {
			return err
		}
		w.deliver(w.buf[:got])
		if got == 0 && !w.sleep(ctx, w.pace.Every) {
			return ctx.Err()
		}
	}
}

// startup reads and tests the first samples; all of them are in buf then. The
// monitor is new or was reset.
func (w *worker) startup(ctx context.Context) error {
	end := health.StartupSamples * w.info.SampleBytes
	for have := 0; have < end; {
		n, err := w.fetch(ctx, have, end)
		if err != nil {
			return err
		}
		have += n
		if n == 0 && !w.sleep(ctx, w.pace.Every) {
			return ctx.Err()
		}
	}
	return nil
}

// fetch reads into a part of buf. From a source that is credited it returns
// with something or an error; what is not may have nothing for as long as it
// likes.
func (w *worker) fetch(ctx context.Context, from, to int) (int, error) {
	begin := time.Now()
	left := w.h.cfg.readTimeout
	for {
		n, err := w.read(ctx, from, to, left)
		quiet := time.Since(begin)
		left = w.h.cfg.readTimeout - quiet
		switch {
		case errors.Is(err, errLate), err == nil && n == 0 && w.info.Credited && left <= 0:
			return 0, fmt.Errorf("read source %s: %s", w.info.Name, noAnswer(quiet))
		case n > 0 || err != nil || !w.info.Credited:
			return n, err
		}
		if !w.sleep(ctx, min(w.pace.Every, emptyLimit, left)) {
			return 0, ctx.Err()
		}
	}
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
		over := time.NewTimer(w.pace.Every)
		select {
		case <-ctx.Done():
			over.Stop()
			return 0, false
		case <-wake:
			over.Stop()
		case <-over.C:
			return paced, true
		}
	}
}

// sleep waits for d and reports whether ctx is still alive.
func (w *worker) sleep(ctx context.Context, d time.Duration) bool {
	over := time.NewTimer(d)
	defer over.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-over.C:
		return true
	}
}

// read gets samples into a part of buf and tests them.
func (w *worker) read(ctx context.Context, from, to int, limit time.Duration) (int, error) {
	n, err := w.ask(ctx, from, to, limit)
	switch {
	case errors.Is(err, ErrAbsent):
		return 0, err
	case err != nil:
		return 0, fmt.Errorf("read source %s: %w", w.info.Name, err)
	case n < 0 || n > to-from || n%w.info.SampleBytes != 0:
		return 0, fmt.Errorf("read source %s: %w: %d bytes", w.info.Name, errNotWhole, n)
	}
	w.present()
	if err := w.monitor.Check(w.buf[from : from+n]); err != nil {
		return 0, fmt.Errorf("source %s: %w", w.info.Name, err)
	}
	return n, nil
}

// call is one call of Sample. It owns buf from its from on until it answered.
type call struct {
	from   int
	answer chan answer
}

type answer struct {
	n   int
	err error
}

// ask calls Sample, which may hang and be deaf to its context: what has not
// returned within the limit stays behind as w.late.
func (w *worker) ask(ctx context.Context, from, to int, limit time.Duration) (int, error) {
	c := &call{from, make(chan answer, 1)}
	rctx, cancel := context.WithCancel(ctx)
	defer cancel()
	over := time.NewTimer(limit)
	defer over.Stop()
	w.mu.Lock()
	w.reading = time.Now()
	w.mu.Unlock()
	go func() {
		n, err := w.src.Sample(rctx, w.buf[from:to:to])
		c.answer <- answer{n, err}
	}()
	var a answer
	select {
	case a = <-c.answer:
	case <-ctx.Done():
		a = <-c.answer // Run has its grace, and then leaves us behind
	case <-over.C:
		select {
		case a = <-c.answer:
		default:
			w.late = c
			return 0, errLate
		}
	}
	w.answered(max(0, min(a.n, to-from)))
	return a.n, a.err
}

func noAnswer(after time.Duration) string {
	return fmt.Sprintf("no answer for %.0f s", after.Seconds())
}

// answered counts the bytes of a call that has returned.
func (w *worker) answered(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n > 0 {
		w.bytes += uint64(n)
		w.spent += time.Since(w.reading)
	}
	w.reading = time.Time{}
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
