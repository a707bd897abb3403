package host

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/source"
	"github.com/xentropyd/xentropyd/source/sourcetest"
)

// seeds is a SeedStore in memory.
type seeds struct {
	mu      sync.Mutex
	kept    []byte
	stores  int
	loadErr error
	err     error
}

func (s *seeds) Load() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.loadErr != nil {
		return nil, s.loadErr
	}
	if s.kept == nil {
		return nil, fs.ErrNotExist
	}
	return append([]byte(nil), s.kept...), nil
}

func (s *seeds) Store(seed []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	s.stores++
	s.kept = append([]byte(nil), seed...)
	return nil
}

func (s *seeds) times() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stores
}

// from is a configuration with these sources.
func from(sources ...source.Source) EntropyConfig {
	cfg := DefaultEntropyConfig()
	cfg.Sources = sources
	return cfg
}

// keeping is one with a good source and a store.
func keeping(store SeedStore) EntropyConfig {
	cfg := from(good(4))
	cfg.Seeds = store
	return cfg
}

// gathering runs test in a bubble with an Entropy that gathers from sources.
func gathering(t *testing.T, cfg EntropyConfig, test func(t *testing.T, e *Entropy)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		cfg.Log = slog.New(slog.DiscardHandler)
		e, err := NewEntropy(cfg)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- e.Run(ctx) }()
		test(t, e)
		cancel()
		require.NoError(t, <-done)
	})
}

// good is a source that is credited with bits per sample of a byte.
func good(bits float64) source.Source {
	return sourcetest.New(sourcetest.Info(1, bits), sourcetest.Good(7))
}

func isReady(e *Entropy) bool {
	synctest.Wait()
	select {
	case <-e.Ready():
		return true
	default:
		return false
	}
}

func TestEntropySeedsItself(t *testing.T) {
	store := &seeds{}
	gathering(t, keeping(store), func(t *testing.T, e *Entropy) {
		require.True(t, isReady(e))
		require.Equal(t, 1, store.times(), "a new seed is kept before any output")
		b := make([]byte, 64)
		credit, err := e.Draw(b)
		require.NoError(t, err)
		require.Equal(t, 256, credit)
		require.NotEqual(t, make([]byte, 64), b)
		require.NotEqual(t, store.kept, b)
		credit, err = e.Draw(b[:8])
		require.NoError(t, err)
		require.Equal(t, 64, credit)
		require.EqualValues(t, 256+64, e.Status().SpentBits)
		time.Sleep(seedFileEvery + time.Second)
		synctest.Wait()
		require.Equal(t, 2, store.times())
	})
	require.Equal(t, 3, store.times(), "and at the end")
}

// counting counts the reads of a source.
type counting struct {
	source.Source
	reads *atomic.Int32
}

func (c counting) Sample(ctx context.Context, p []byte) (int, error) {
	c.reads.Add(1)
	return c.Source.Sample(ctx, p)
}

// Who draws often has the sources read ten times a second, for all that was
// drawn meanwhile, not once for each draw.
func TestEntropyAsksForNoiseAtARate(t *testing.T) {
	var reads atomic.Int32
	quiet := source.WithPace(func(source.Info) source.Pace { return source.Pace{Samples: 64, Every: time.Hour} })
	info := sourcetest.Info(2, 4)
	info.Credited = false
	cfg := from(good(4), counting{sourcetest.New(info, sourcetest.Good(8)), &reads})
	cfg.Harvester = []source.Option{quiet}
	gathering(t, cfg, func(t *testing.T, e *Entropy) {
		require.True(t, isReady(e))
		before, bits := reads.Load(), e.Status().AssessedBits
		for range 1000 {
			_, err := e.Draw(make([]byte, 32))
			require.NoError(t, err)
			time.Sleep(time.Millisecond)
		}
		time.Sleep(demandEvery)
		synctest.Wait()
		require.InDelta(t, 11, reads.Load()-before, 1)
		require.GreaterOrEqual(t, e.Status().AssessedBits-bits, 256e3, "all of it")
	})
}

// What the kernel gives is never credited, so the host does without it.
func TestEntropySeedsItselfFromNoiseAlone(t *testing.T) {
	asked := 0
	kernel := func([]byte) error { asked++; return errors.New("getrandom: operation not permitted") }
	cfg := from(good(4))
	cfg.Kernel = kernel
	gathering(t, cfg, func(t *testing.T, e *Entropy) {
		require.True(t, isReady(e))
		require.Equal(t, 1, asked)
		credit, err := e.Draw(make([]byte, 64))
		require.NoError(t, err)
		require.Equal(t, 256, credit)
	})
}

func TestEntropyGivesNothingBeforeItHasEnough(t *testing.T) {
	// 1,024 samples are all that this source gives: its start-up test.
	for name, c := range map[string]struct {
		bits  float64
		ready bool
	}{"320 bits": {320. / 1024, true}, "just under": {319. / 1024, false}} {
		t.Run(name, func(t *testing.T) {
			src := sourcetest.New(sourcetest.Info(1, c.bits),
				sourcetest.Then(1024, sourcetest.Good(1), sourcetest.Blocking()))
			gathering(t, from(src), func(t *testing.T, e *Entropy) {
				require.Equal(t, c.ready, isReady(e))
				if !c.ready {
					b := make([]byte, 8)
					_, err := e.Draw(b)
					require.ErrorIs(t, err, ErrNotSeeded)
					require.Equal(t, make([]byte, 8), b)
				}
			})
		})
	}
}

func TestEntropyCountsNoUncreditedSource(t *testing.T) {
	info := sourcetest.Info(8, 8)
	info.Credited = false
	src := sourcetest.New(info, sourcetest.Good(1))
	gathering(t, from(src), func(t *testing.T, e *Entropy) {
		time.Sleep(time.Hour)
		require.False(t, isReady(e))
	})
}

func TestEntropyCountsNoSourceThatFailsItsStartUpTest(t *testing.T) {
	src := sourcetest.New(sourcetest.Info(1, 4), sourcetest.Stuck(3))
	gathering(t, from(src), func(t *testing.T, e *Entropy) {
		time.Sleep(time.Hour)
		require.False(t, isReady(e))
		require.Equal(t, source.StateQuarantined, e.Status().Sources[0].State)
	})
}

func TestEntropyWithoutAHealthySource(t *testing.T) {
	for _, policy := range []Policy{PolicyDegraded, PolicyStop} {
		t.Run(string(policy), func(t *testing.T) {
			src := sourcetest.New(sourcetest.Info(1, 4), sourcetest.Then(4096,
				sourcetest.Good(1), sourcetest.Vanished()))
			cfg := from(src)
			cfg.Policy = policy
			gathering(t, cfg, func(t *testing.T, e *Entropy) {
				require.True(t, isReady(e))
				b := make([]byte, 32)
				credit, err := e.Draw(b)
				require.NoError(t, err)
				require.Equal(t, 256, credit)

				time.Sleep(5 * time.Minute)
				synctest.Wait()
				require.True(t, e.Degraded())
				credit, err = e.Draw(b)
				if policy == PolicyStop {
					require.ErrorIs(t, err, ErrStopped)
				} else {
					require.NoError(t, err)
				}
				require.Zero(t, credit)
			})
		})
	}
}

func TestEntropyComesBack(t *testing.T) {
	src := sourcetest.New(sourcetest.Info(1, 4), sourcetest.Then(2048, sourcetest.Good(1),
		sourcetest.FailsTimes(3, errors.New("unplugged"), sourcetest.Good(2))))
	cfg := from(src)
	cfg.Policy = PolicyStop
	gathering(t, cfg, func(t *testing.T, e *Entropy) {
		require.True(t, isReady(e))
		was := false
		for range 600 {
			time.Sleep(time.Second)
			was = was || e.Degraded()
		}
		require.True(t, was)
		require.False(t, e.Degraded())
		_, err := e.Draw(make([]byte, 32))
		require.NoError(t, err)
	})
}

func TestEntropyReplacesTheKeptSeed(t *testing.T) {
	// That it is mixed in cannot be seen from outside, the kernel RNG being
	// mixed in too.
	store := &seeds{kept: make([]byte, 64)}
	gathering(t, keeping(store), func(t *testing.T, e *Entropy) {
		require.True(t, isReady(e))
		require.NotEqual(t, make([]byte, 64), store.kept, "the old seed is replaced before any output")
	})
}

func TestEntropyLivesWithABrokenSeedStore(t *testing.T) {
	for name, store := range map[string]*seeds{
		"unreadable":       {loadErr: errors.New("seed file is open to everybody")},
		"unwritable":       {err: errors.New("read-only file system")},
		"unwritable again": {err: errors.New("read-only file system"), kept: make([]byte, 64)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log syncBuffer
				cfg := keeping(store)
				cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
				e, err := NewEntropy(cfg)
				require.NoError(t, err)
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- e.Run(ctx) }()
				require.True(t, isReady(e))
				cancel()
				require.NoError(t, <-done, "an end is no failure for that")
				if store.err != nil {
					require.Contains(t, log.String(),
						`level=ERROR msg="no seed kept for the next start" error="read-only file system"`)
					require.Equal(t, 1, strings.Count(log.String(), "level=ERROR"), "once, although it was tried twice")
				}
			})
		})
	}
}

// silent is a SeedStore that does not answer, from one of its calls on and
// until it is told to.
type silent struct {
	seeds
	answer chan struct{}

	mu         sync.Mutex
	from       int // the first call that hangs, counted from 1
	calls, now int
	most       int // at a time
	wiped      []byte
}

func (s *silent) call(f func()) {
	s.mu.Lock()
	s.calls++
	s.now++
	s.most = max(s.most, s.now)
	hangs := s.calls >= s.from
	s.mu.Unlock()
	if hangs {
		<-s.answer
	}
	f()
	s.mu.Lock()
	s.now--
	s.mu.Unlock()
}

func (s *silent) counts() (calls, most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls, s.most
}

func (s *silent) Load() (seed []byte, err error) {
	s.call(func() { seed, err = s.seeds.Load(); s.wiped = seed })
	return seed, err
}

func (s *silent) Store(seed []byte) (err error) {
	s.call(func() { err = s.seeds.Store(seed); s.wiped = seed })
	return err
}

func (s *silent) Path() string { return "/mnt/seed" }

// TestEntropyLeavesASilentSeedStoreBehind: whichever call does not answer,
// there are guests to be served after five seconds, one line in the log, and an
// end after two more. What the call held is wiped when it comes back.
func TestEntropyLeavesASilentSeedStoreBehind(t *testing.T) {
	for name, c := range map[string]struct {
		from  int
		after time.Duration
	}{"load": {1, storePatience}, "store": {2, storePatience}, "later store": {3, 0}, "last store": {4, 0}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log syncBuffer
				store := &silent{from: c.from, answer: make(chan struct{})}
				store.kept = []byte("a seed")
				cfg := keeping(store)
				cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
				e, err := NewEntropy(cfg)
				require.NoError(t, err)
				ctx, cancel := context.WithCancel(t.Context())
				start := time.Now()
				done := make(chan error, 1)
				go func() { done <- e.Run(ctx) }()
				<-e.Ready()
				require.LessOrEqual(t, time.Since(start), c.after+time.Second)
				require.GreaterOrEqual(t, time.Since(start), c.after)
				_, err = e.Draw(make([]byte, 32))
				require.NoError(t, err)
				// A time at which no tick is being waited upon.
				time.Sleep(seedFileEvery + storePatience + time.Second)
				if c.from == 3 {
					time.Sleep(2 * seedFileEvery)
				}
				cancel()
				end := time.Now()
				require.NoError(t, <-done)
				require.LessOrEqual(t, time.Since(end), storeGrace)
				require.Equal(t, 1, strings.Count(log.String(), "level=ERROR"), log.String())
				require.Contains(t, log.String(),
					`msg="no seed kept for the next start" error="no answer; is the file system that it is on alive?" seed_file=/mnt/seed`)
				calls, most := store.counts()
				require.Equal(t, 1, most)
				require.Equal(t, c.from, calls, "it is not called again")
				close(store.answer)
				synctest.Wait()
				require.NotEmpty(t, store.wiped)
				require.Equal(t, make([]byte, len(store.wiped)), store.wiped)
			})
		})
	}
}

// TestEntropyEndsWhileItWaitsForTheSeedStore: an end does not wait for what is
// left of the five seconds.
func TestEntropyEndsWhileItWaitsForTheSeedStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &silent{from: 1, answer: make(chan struct{})}
		cfg := keeping(store)
		cfg.Log = slog.New(slog.DiscardHandler)
		e, err := NewEntropy(cfg)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- e.Run(ctx) }()
		time.Sleep(storePatience / 5)
		calls, _ := store.counts()
		require.Equal(t, 1, calls)
		cancel()
		end := time.Now()
		require.NoError(t, <-done)
		require.LessOrEqual(t, time.Since(end), storeGrace)
		close(store.answer)
	})
}

// TestEntropyKeepsASeedAgain: a store that answers late is used again, and that
// is said.
func TestEntropyKeepsASeedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log syncBuffer
		store := &silent{from: 1, answer: make(chan struct{})}
		cfg := keeping(store)
		cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
		e, err := NewEntropy(cfg)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- e.Run(ctx) }()
		<-e.Ready()
		require.Zero(t, store.times())
		close(store.answer)
		time.Sleep(seedFileEvery + time.Second)
		require.Equal(t, 1, store.times())
		require.Contains(t, log.String(), "a seed is kept for the next start again")
		cancel()
		require.NoError(t, <-done)
		require.Equal(t, 2, store.times())
	})
}

func TestEntropyRefusesAnUnknownPolicy(t *testing.T) {
	cfg := DefaultEntropyConfig()
	require.Empty(t, cfg.Check())
	cfg.Policy = "hope"
	_, err := NewEntropy(cfg)
	require.EqualError(t, err, `host configuration: policy: "hope"; want one of degraded, stop`)
	_, err = NewEntropy(EntropyConfig{})
	require.ErrorContains(t, err, `policy: ""`, "nothing is a default because it is empty")
}
