package source

import (
	"context"
	"encoding/binary"
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
// all its retries, is an error: what was in the register then is not used. A
// word of zeros or ones alone is a [WordError].
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
		if err := s.look(dst[n : n+8*got]); err != nil {
			return 0, err
		}
		n += 8 * got
		if got > 0 {
			empty = 0
			continue
		}
		if empty++; empty > s.waits {
			return 0, fmt.Errorf("%s: %w: %d calls in a row reported that there is none", s.info.Name,
				ErrExhausted, empty*instructionTries)
		}
		pause(empty)
	}
	return n, nil
}

// look refuses words with all bits clear or all bits set.
func (s *instruction) look(words []byte) error {
	for ; len(words) >= 8; words = words[8:] {
		if x := binary.LittleEndian.Uint64(words); x+1 <= 1 { // 0 or all ones
			return &WordError{Instruction: s.info.Name, Ones: x != 0}
		}
	}
	return nil
}

// WordError says that an instruction of the CPU reported success and gave 64
// bits that are all 0, or all 1. By chance either comes once in 2^64 words,
// never in the life of a machine; several CPUs are known for it. The batch with
// the word is refused as a whole. The health tests see such words only when
// there are many: one in 10,000 passes them.
type WordError struct {
	Instruction string // the source's name
	Ones        bool   // all bits were 1, else all 0
}

// Error says which CPUs are known for it.
func (e *WordError) Error() string {
	kind := "zeros"
	if e.Ones {
		kind = "ones"
	}
	return fmt.Sprintf("%s: the CPU called 64 %s random, a chance of 2^-64 (%s)", e.Instruction, kind, e.known())
}

// known names the CPUs and what helps: AMD-SB-7055 (CVE-2025-62626); Linux,
// arch/x86/kernel/cpu/amd.c, init_amd_zen5 and clear_rdrand_cpuid_bit; the
// firmware of July 2019 for the Ryzen 3000.
func (e *WordError) known() string {
	const (
		zen5 = "known of AMD Zen 5, family 1Ah, before the microcode of AMD-SB-7055, CVE-2025-62626, " +
			"there for the 16- and 32-bit forms: update the firmware"
		zen2 = "known of AMD Zen 2 with firmware of before July 2019, and of families 15h and 16h after a suspend: " +
			"update the firmware"
		resume = "known of AMD families 15h and 16h after a suspend: update the firmware"
	)
	switch {
	case e.Ones:
		return zen2
	case e.Instruction == NameRDSEED:
		return zen5
	}
	return resume
}

func (e *WordError) failure() string {
	if e.Ones {
		return FailureOnes
	}
	return FailureZero
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
