// Package sourcetest has noise sources for tests: good ones, and ones that fail
// in every way that a health test or a reader has to notice.
//
// [New] makes a [source.Source] of a script, and [Good] is the script of a
// source that works. Scripts are combined by [Then]:
//
//	s := sourcetest.New(sourcetest.Info(1, 2), sourcetest.Then(2000, sourcetest.Good(1), sourcetest.Stuck(7)))
//
// Everything is reproducible from its seed, and nothing here is random.
package sourcetest

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"sync"

	"github.com/xentropyd/xentropyd/source"
)

// ErrVanished is what a script made by [Vanished] fails with.
var ErrVanished = errors.New("device vanished (sourcetest)")

// ErrNothing from a script ends the call of Sample without an error, with the
// samples so far: a source that has nothing now.
var ErrNothing = errors.New("nothing now (sourcetest)")

// Script gives sample i, counted from 0 over the life of the source; the source
// keeps as many of its low bytes as a sample has. An error ends the call of
// Sample without data, and the same i is asked for again by the next call.
type Script func(ctx context.Context, i int) (uint64, error)

// Info describes a credited source named "fake" with samples of so many bytes
// and so many bits of declared min-entropy.
func Info(sampleBytes int, minEntropy float64) source.Info {
	return source.Info{
		ID: source.IDFirstFree, Name: "fake", Description: "scripted source for tests",
		SampleBytes: sampleBytes, MinEntropy: minEntropy, Credited: true,
	}
}

// Source is a [source.Source] that plays a Script.
type Source struct {
	info   source.Info
	script Script
	most   int

	mu     sync.Mutex
	next   int
	closes int
}

// New makes a source of a script.
func New(info source.Info, script Script) *Source {
	return &Source{info: info, script: script}
}

// Short makes each call of Sample give at most so many samples, and returns s.
func (s *Source) Short(samples int) *Source {
	s.most = samples
	return s
}

// Info returns what New was given.
func (s *Source) Info() source.Info { return s.info }

// Sample plays the script into dst.
func (s *Source) Sample(ctx context.Context, dst []byte) (int, error) {
	size := s.info.SampleBytes
	n := len(dst) / size
	if s.most > 0 {
		n = min(n, s.most)
	}
	var word [8]byte
	for j := range n {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		x, err := s.script(ctx, s.Played())
		if errors.Is(err, ErrNothing) {
			return j * size, nil
		}
		if err != nil {
			return 0, err
		}
		binary.LittleEndian.PutUint64(word[:], x)
		copy(dst[j*size:(j+1)*size], word[:])
		s.mu.Lock()
		s.next++
		s.mu.Unlock()
	}
	return n * size, nil
}

// Close counts; the source goes on working, so that a test can see a use after
// it.
func (s *Source) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closes++
	return nil
}

// Closes returns how often Close was called.
func (s *Source) Closes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closes
}

// Played returns how many samples were given.
func (s *Source) Played() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next
}

// generator returns a PRNG of a seed.
func generator(seed uint64) *rand.Rand {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	return rand.New(rand.NewChaCha8(key))
}
