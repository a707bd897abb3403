package source

import (
	"context"
	"fmt"
	"sync/atomic"
)

// What the jitter source does for one sample, and why.
const (
	// The buffer is larger than the first-level data cache and, on most CPUs,
	// than a core's own second level (0.25 to 2 MiB), so that many accesses go
	// out to what is shared with other cores, whose timing depends on their
	// traffic, on arbitration and on refresh; its 512 pages are more than the
	// first-level TLB holds. Measured here with all else equal, the lowest
	// estimate is 1.0 bits per sample with 64 KiB, 0.7 with 512 KiB, 2.5 with
	// 1 MiB and 3.5 with 2 MiB; 4 MiB gives more but takes four times as long.
	// It must be a power of two.
	jitterBuffer = 2 << 20
	// The stride is a prime over a page of 4 KiB: each step is on another page
	// and line, which hardware prefetchers do not follow, and being odd it
	// goes through the whole buffer before it repeats.
	jitterStride = 4159
	// So many accesses make one sample, each waiting for the one before it.
	// With a walk of few steps the same timings come in patterns, which the
	// t-tuple estimate punishes: 16 steps give half of what 64 do.
	jitterSteps = 64
	// So many samples are taken between two looks at the context.
	jitterChunk = 64
)

// Jitter is the timing jitter of CPU and memory: how many counts of a raw
// counter a walk through memory takes. A sample is the low byte of one
// difference of two readings, neither filtered nor rescaled: rescaling to
// nanoseconds would hide the counter's quantum from the health tests and from
// an assessment. The low byte holds what varies; the bits above hold how long
// the walk takes on average, which is no secret.
type Jitter struct {
	info    Info
	counter func() uint64
	name    string // of the counter
	tried   bool   // and found to be fine enough
	mem     []byte
	at      uint32
	zero    uint32 // always 0, which the compiler does not know
	last    uint64
	closed  atomic.Bool
}

// NewJitter makes the jitter source on the CPU's own counter.
func NewJitter() *Jitter {
	return NewJitterCounter(counterName, counter)
}

// NewJitterCounter makes the jitter source on another raw counter: for
// platforms whose better counter this package does not know.
func NewJitterCounter(name string, counter func() uint64) *Jitter {
	j := &Jitter{info: jitterInfo, counter: counter, name: name}
	j.info.Description += " against " + name
	return j
}

// try takes some samples. A counter on which more than half of the walks take
// no time at all, or nearly all the same, is not for timing memory.
func (j *Jitter) try() error {
	const tries = 128
	if j.mem == nil {
		j.mem = make([]byte, jitterBuffer)
	}
	var seen [256]int
	stopped := 0
	for range tries {
		d := j.delta()
		if d == 0 {
			stopped++
		}
		seen[byte(d)]++
	}
	most := 0
	for _, n := range seen {
		most = max(most, n)
	}
	if stopped > tries/2 || most > tries*9/10 {
		return NotPresent(NameJitter, fmt.Sprintf("the %s is too coarse: of %d walks through memory %d took no time "+
			"and %d the same",
			j.name, tries, stopped, most), "needs a counter of the CPU's own")
	}
	j.tried = true
	return nil
}

// Info describes the source.
func (j *Jitter) Info() Info { return j.info }

// Close makes later calls of Sample fail.
func (j *Jitter) Close() error {
	j.closed.Store(true)
	return nil
}

// Sample fills dst, one byte a sample, one or two microseconds each. It tries
// the counter first, and while that is too coarse the source is absent: on a
// machine under load the next try may be a better one.
func (j *Jitter) Sample(ctx context.Context, dst []byte) (int, error) {
	if !j.tried && !j.closed.Load() && ctx.Err() == nil {
		if err := j.try(); err != nil {
			return 0, err
		}
	}
	for i := range dst {
		if i%jitterChunk == 0 {
			if j.closed.Load() {
				return 0, fmt.Errorf("%s: %w", j.info.Name, ErrClosed)
			}
			if err := ctx.Err(); err != nil {
				return 0, err
			}
			j.last = j.counter() // a preemption between calls is no sample
		}
		dst[i] = byte(j.delta())
	}
	return len(dst), nil
}

// delta walks once and returns the counts that it took.
func (j *Jitter) delta() uint64 {
	j.walk()
	now := j.counter()
	d := now - j.last
	j.last = now
	return d
}

// walk reads, changes and writes jitterSteps places. Each address depends on
// the byte read before, though only on zero times it, so that the accesses
// cannot overlap.
func (j *Jitter) walk() {
	at := j.at
	for range jitterSteps {
		p := &j.mem[at%jitterBuffer]
		*p++
		at += jitterStride + uint32(*p)&j.zero
	}
	j.at = at % jitterBuffer
}
