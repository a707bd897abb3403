package source

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"
)

const (
	// rdrandChunk words are read in one call of assembly, which the scheduler
	// cannot interrupt: 512 words of 18 ns are 10 microseconds.
	rdrandChunk = 512
	// rdseedChunk words of RDSEED, 560 ns each, are 18 microseconds.
	rdseedChunk = 32
	// rdseedWaits is how many times in a row RDSEED may give nothing at all,
	// with waits that double to rdseedMaxWait between: about 100 ms in all.
	rdseedWaits   = 100
	rdseedMaxWait = time.Millisecond
)

// instruction is a source that is one instruction of the CPU.
type instruction struct {
	info   Info
	chunk  int                  // bytes
	waits  int                  // how many empty calls in a row are borne
	fill   func(dst []byte) int // puts words from the start, returns how many
	closed atomic.Bool
}

func newInstruction(info Info, chunk, waits int, fill func([]byte) int) *instruction {
	return &instruction{info: info, chunk: 8 * chunk, waits: waits, fill: fill}
}

func (s *instruction) Info() Info { return s.info }

// Close makes later calls of Sample fail.
func (s *instruction) Close() error {
	s.closed.Store(true)
	return nil
}

// Sample fills dst with whole words. An instruction that reports no data, over
// all its retries, is an error: what was in the register then is not used.
func (s *instruction) Sample(ctx context.Context, dst []byte) (int, error) {
	if s.closed.Load() {
		return 0, fmt.Errorf("%s: %w", s.info.Name, ErrClosed)
	}
	n, empty := 0, 0
	for len(dst)-n >= 8 {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		got := s.fill(dst[n : n+min(s.chunk, (len(dst)-n)/8*8)])
		n += 8 * got
		if got > 0 {
			empty = 0
			continue
		}
		if empty++; empty > s.waits {
			return 0, fmt.Errorf("%s: %w: %d calls in a row reported that there is none", s.info.Name, ErrExhausted, empty*instructionTries)
		}
		pause(empty)
	}
	return n, nil
}

// pause lets other threads have the hardware: they share it, and on AMD two
// that insist lose almost half of their calls.
func pause(times int) {
	if times < 4 {
		runtime.Gosched()
		return
	}
	time.Sleep(min(time.Microsecond<<min(times, 20), rdseedMaxWait))
}
