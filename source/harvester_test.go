package source_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/source"
	"github.com/xentropyd/xentropyd/source/health"
	"github.com/xentropyd/xentropyd/source/sourcetest"
)

// rig runs a Harvester in a bubble of testing/synctest and keeps what it
// delivers. Batches are copied in the callback; the slices themselves are kept
// too, to see that they are wiped.
type rig struct {
	*source.Harvester
	t      *testing.T
	cancel context.CancelFunc
	done   chan error

	mu       sync.Mutex
	data     []byte
	kept     [][]byte
	bits     float64
	statuses []source.Status
	at       []time.Duration // when each state change came
}

// everySecond is the pace of these tests, unless one asks for another.
func everySecond(source.Info) source.Pace { return source.Pace{Every: time.Second, Samples: 32} }

func run(t *testing.T, sources []source.Source, opts ...source.Option) *rig {
	r := &rig{t: t, done: make(chan error, 1)}
	opts = append([]source.Option{source.WithPace(everySecond)}, opts...)
	begin := time.Now()
	opts = append(opts, source.WithNotify(func(s source.Status) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.statuses, r.at = append(r.statuses, s), append(r.at, time.Since(begin))
	}))
	r.Harvester = source.NewHarvester(sources, func(b source.Batch) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.data, r.kept, r.bits = append(r.data, b.Data...), append(r.kept, b.Data), r.bits+b.Bits
	}, opts...)
	ctx, cancel := context.WithCancel(t.Context())
	r.cancel = cancel
	go func() { r.done <- r.Run(ctx) }()
	synctest.Wait()
	return r
}

func (r *rig) stop() error {
	r.cancel()
	return <-r.done
}

// take returns what was delivered since the last call.
func (r *rig) take() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.data
	r.data = nil
	return b
}

func (r *rig) states() (s []source.State) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, x := range r.statuses {
		s = append(s, x.State)
	}
	return s
}

// record is a log that is looked at while it is written.
type record struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buf.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buf.String()
}

func one(s source.Source) []source.Source { return []source.Source{s} }

func TestStartupThenPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sourcetest.New(sourcetest.Info(1, 2), sourcetest.Good(1)).Short(100)
		r := run(t, one(s))
		assert.Len(t, r.take(), health.StartupSamples, "delivered once the start-up test was passed")
		assert.Equal(t, []source.State{source.StateHealthy}, r.states())
		assert.Equal(t, 1, r.Healthy())
		assert.Equal(t, make([]byte, health.StartupSamples), r.kept[0], "wiped at once")
		_ = r.Status() // orders this look before the next reading
		for range 10 {
			time.Sleep(time.Second)
			synctest.Wait()
			assert.Len(t, r.take(), 32)
		}
		st := r.Status()[0]
		assert.EqualValues(t, 1024+320, st.Samples)
		assert.InDelta(t, 2*(1024+320), st.MinEntropyBits, 0)
		require.NoError(t, r.stop())
		assert.Equal(t, 1, s.Closes())
		for _, b := range r.kept {
			assert.Equal(t, make([]byte, len(b)), b, "wiped after the call")
		}
	})
}

func TestDefaultPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sourcetest.New(sourcetest.Info(1, 2), sourcetest.Good(1))
		r := run(t, one(s), source.WithPace(source.DefaultPace))
		assert.Len(t, r.take(), health.StartupSamples)
		pace := source.DefaultPace(s.Info())
		for range 3 {
			time.Sleep(pace.Every - time.Millisecond)
			synctest.Wait()
			assert.Empty(t, r.take())
			time.Sleep(time.Millisecond)
			synctest.Wait()
			assert.Len(t, r.take(), pace.Samples)
		}
		require.NoError(t, r.stop())
	})
}

func TestNothingBeforeStartup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sourcetest.New(sourcetest.Info(1, 2), sourcetest.Then(1023, sourcetest.Good(1),
			sourcetest.Blocking())).Short(1)
		r := run(t, one(s), source.WithReadTimeout(time.Hour))
		time.Sleep(time.Minute)
		assert.Empty(t, r.take())
		assert.Equal(t, source.StateStarting, r.Status()[0].State)
		require.NoError(t, r.stop())
	})
}

func TestDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		credited := sourcetest.New(sourcetest.Info(8, 4), sourcetest.Good(1))
		info := sourcetest.Info(8, 4)
		info.Credited = false
		plain := sourcetest.New(info, sourcetest.Good(2))
		r := run(t, []source.Source{credited, plain, nil})
		require.InDelta(t, 4096, r.bits, 0)
		before := plain.Played()
		r.Demand(0)
		r.Demand(-5)
		synctest.Wait()
		require.InDelta(t, 4096, r.bits, 0)
		r.Demand(100_000)
		synctest.Wait() // no time passes
		assert.GreaterOrEqual(t, r.bits, 4096+100_000.0)
		assert.LessOrEqual(t, r.bits, 4096+100_000.0+8, "and not much more")
		assert.Equal(t, 32, plain.Played()-before, "a source without credit gives one batch")
		st := r.Status()
		assert.Zero(t, st[1].MinEntropyBits)
		assert.True(t, st[1].Healthy)
		assert.Equal(t, 1, r.Healthy(), "credited sources count")
		require.NoError(t, r.stop())
	})
}

// Each kind of failure alone, in a source that worked before: it is counted
// under its own name, nothing of the failing batch is delivered, and the
// source comes back through a whole start-up test.
func TestFailures(t *testing.T) {
	const good = 1024 + 5*32
	for name, c := range map[string]struct {
		bad  sourcetest.Script
		want string
	}{
		"stuck at":   {sourcetest.Stuck(0xff), "repetition"},
		"repeating":  {sourcetest.Repeating(1, 200, 3, 77, 5), "lag"},
		"biased":     {sourcetest.Biased(3, 9, 0.72), "proportion"},
		"slow drift": {sourcetest.Drifting(3, 9, 2e-4), "proportion"},
		"ramp":       {sourcetest.Ramp(3, 1), "delta"},
		"vanishing":  {sourcetest.Vanished(), source.FailureRead},
		"ended":      {sourcetest.Ended(), source.FailureRead},
		"blocking":   {sourcetest.Blocking(), source.FailureRead},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				s := sourcetest.New(sourcetest.Info(1, 1), sourcetest.Then(good, sourcetest.Good(1), c.bad))
				r := run(t, one(s), source.WithLogger(slog.New(slog.NewTextHandler(&log, nil))),
					source.WithPace(everySecond))
				time.Sleep(5*time.Second + time.Millisecond)
				synctest.Wait()
				require.Len(t, r.take(), good)
				r.Demand(20000)
				time.Sleep(11 * time.Second)
				synctest.Wait()
				i := slices.Index(r.states(), source.StateQuarantined)
				require.Positive(t, i)
				st := r.statuses[i] // as of the first failure
				assert.Equal(t, map[string]uint64{c.want: 1}, st.Failures, "no other alarm")
				assert.False(t, st.Healthy)
				assert.NotEmpty(t, st.LastError)
				assert.Zero(t, r.Healthy())
				assert.Contains(t, log.String(), "quarantined")
				require.NoError(t, r.stop())
			})
		})
	}
}

// No log line and no status holds a sample's value.
func TestSamplesStaySecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const value = 0x5eced0d0_7afebabe
		var log bytes.Buffer
		s := sourcetest.New(sourcetest.Info(8, 8), sourcetest.Then(1024, sourcetest.Good(1), sourcetest.Stuck(value)))
		r := run(t, one(s), source.WithLogger(slog.New(slog.NewJSONHandler(&log,
			&slog.HandlerOptions{Level: slog.LevelDebug}))))
		time.Sleep(5 * time.Second)
		synctest.Wait()
		require.NoError(t, r.stop())
		require.Contains(t, log.String(), "repetition")
		text := strings.ToLower(log.String() + fmt.Sprintf("%+v", r.Status()))
		for _, format := range []string{"%d", "%x", "%v"} {
			assert.NotContains(t, text, fmt.Sprintf(format, uint64(value)))
		}
	})
}

// Nothing of the batch in which a test fails gets out, not even what came
// before the failure.
func TestFailingBatchIsNotDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad := sourcetest.Then(1024+200, sourcetest.Good(1), sourcetest.Stuck(0))
		s := sourcetest.New(sourcetest.Info(1, 1), sourcetest.Then(1024+400, bad, sourcetest.Good(2)))
		r := run(t, one(s))
		r.take()
		r.Demand(399) // one batch of 400, the second half of it stuck
		synctest.Wait()
		assert.Empty(t, r.take())
		assert.Equal(t, source.StateQuarantined, r.Status()[0].State)
		assert.InDelta(t, 1, r.Status()[0].RetryIn, 0)
		time.Sleep(250 * time.Millisecond)
		assert.InDelta(t, 0.75, r.Status()[0].RetryIn, 0, "by the clock that runs, not the one on the wall")
		for _, b := range r.kept {
			assert.Equal(t, make([]byte, len(b)), b)
		}
		// The demand is still open when it comes back.
		played := s.Played()
		time.Sleep(750 * time.Millisecond)
		synctest.Wait()
		assert.Equal(t, health.StartupSamples, s.Played()-played, "a whole new start-up test, which is delivered")
		assert.Len(t, r.take(), health.StartupSamples)
		assert.Zero(t, r.Status()[0].RetryIn)
		require.NoError(t, r.stop())
	})
}

func TestBackoffDoubles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sourcetest.New(sourcetest.Info(1, 1), sourcetest.Stuck(1))
		r := run(t, one(s))
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		var waits []time.Duration
		for i, st := range r.statuses {
			if st.State == source.StateStarting {
				waits = append(waits, r.at[i]-r.at[i-1])
			}
		}
		want := []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300}
		for i := range want {
			want[i] *= time.Second
		}
		assert.Equal(t, want, waits)
		assert.Empty(t, r.take(), "a source that never passed delivers nothing")
		require.NoError(t, r.stop())
	})
}

// A source that passes its start-up test and fails soon after waits longer each
// time; one that was healthy for long starts over.
func TestBackoffStartsOver(t *testing.T) {
	for _, c := range []struct {
		healthy time.Duration
		want    []time.Duration
	}{
		{2 * time.Second, []time.Duration{time.Second, 2 * time.Second, 4 * time.Second}},
		{11 * time.Second, []time.Duration{time.Second, time.Second, time.Second}},
	} {
		synctest.Test(t, func(t *testing.T) {
			life := 1024 + 32*int(c.healthy/time.Second)
			fails := 0
			var script sourcetest.Script = func(_ context.Context, i int) (uint64, error) {
				if i >= (fails+1)*life {
					fails++
					return 0, sourcetest.ErrVanished
				}
				return uint64(i*i>>3) * 0x9e3779b97f4a7c15 >> 56, nil
			}
			r := run(t, one(sourcetest.New(sourcetest.Info(1, 1), script)),
				source.WithBackoff(time.Second, 10*time.Second))
			time.Sleep(4*c.healthy + 20*time.Second)
			synctest.Wait()
			var waits []time.Duration
			for i, st := range r.statuses {
				if st.State == source.StateStarting {
					waits = append(waits, r.at[i]-r.at[i-1])
				}
			}
			require.GreaterOrEqual(t, len(waits), 3)
			assert.Equal(t, c.want, waits[:3])
			require.NoError(t, r.stop())
		})
	}
}

func TestVanishesAndComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sourcetest.New(sourcetest.Info(1, 1), sourcetest.Then(1056, sourcetest.Good(1),
			sourcetest.FailsTimes(2, sourcetest.ErrVanished, sourcetest.Good(2))))
		r := run(t, one(s))
		time.Sleep(10 * time.Second)
		synctest.Wait()
		assert.Equal(t, []source.State{
			source.StateHealthy, source.StateQuarantined, source.StateStarting,
			source.StateQuarantined, source.StateStarting, source.StateHealthy,
		}, r.states())
		st := r.Status()[0]
		assert.Equal(t, map[string]uint64{"read": 2}, st.Failures)
		assert.True(t, st.Healthy)
		require.NoError(t, r.stop())
	})
}

// A source that gives nothing now is asked again at its pace, and is neither
// failed nor spun on.
func TestNothingNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := source.NewArrivals()
		r := run(t, one(a))
		r.Demand(1000)
		time.Sleep(time.Hour)
		synctest.Wait()
		st := r.Status()[0]
		assert.Equal(t, source.StateStarting, st.State)
		assert.Empty(t, st.Failures)
		require.NoError(t, r.stop())
	})
	// One that is not credited may do so in the middle of its life, too.
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		nothing := func(context.Context, int) (uint64, error) {
			calls.Add(1)
			return 0, sourcetest.ErrNothing
		}
		info := sourcetest.Info(1, 1)
		info.Credited = false
		r := run(t, one(sourcetest.New(info, sourcetest.Then(1024, sourcetest.Good(1), nothing))))
		r.Demand(1000)
		time.Sleep(time.Minute + time.Millisecond)
		synctest.Wait()
		assert.Equal(t, source.StateHealthy, r.Status()[0].State)
		assert.InDelta(t, 31, calls.Load(), 1, "twice a pace: when it is due, and when there was nothing")
		require.NoError(t, r.stop())
	})
}

// A credited source that never has anything, such as a TPM that is busy for
// ever, is put out within the read timeout, at its start or later, and said to
// be once.
func TestNothingForEver(t *testing.T) {
	for name, before := range map[string]int{"at the start": 0, "half way": 500, "later": 1024} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log record
				script := sourcetest.Then(before, sourcetest.Good(1), sourcetest.Fails(sourcetest.ErrNothing))
				r := run(t, one(sourcetest.New(sourcetest.Info(1, 1), script)),
					source.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
				r.Demand(1000)
				time.Sleep(10*time.Second - time.Millisecond)
				synctest.Wait()
				assert.NotContains(t, r.states(), source.StateQuarantined)
				time.Sleep(time.Millisecond)
				synctest.Wait()
				st := r.Status()[0]
				assert.Equal(t, source.StateQuarantined, st.State)
				assert.Equal(t, map[string]uint64{source.FailureRead: 1}, st.Failures)
				assert.Equal(t, "read source fake: no answer for 10 s", st.LastError)
				time.Sleep(time.Hour)
				synctest.Wait()
				assert.Greater(t, r.Status()[0].Failures[source.FailureRead], uint64(3), "it was tried again")
				assert.Equal(t, 1, strings.Count(log.String(), "quarantined"), "said once")
				require.NoError(t, r.stop())
			})
		})
	}
}

// A source that is busy now and then is not failed for it.
func TestBusyNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		good := sourcetest.Good(1)
		s := sourcetest.New(sourcetest.Info(1, 1), func(ctx context.Context, i int) (uint64, error) {
			if calls.Add(1)%20 < 9 {
				return 0, sourcetest.ErrNothing
			}
			return good(ctx, i)
		})
		r := run(t, one(s.Short(8)))
		for range 100 {
			r.Demand(100)
			time.Sleep(10 * time.Second)
		}
		synctest.Wait()
		assert.Equal(t, []source.State{source.StateHealthy}, r.states())
		require.NoError(t, r.stop())
	})
}

var errNotHere = source.NotPresent("fake", "nobody plugged it in", "plug it in")

// A source that is not here at the start is looked for again: after a second,
// then after twice as long each time, within a minute always. It is said when
// it is missed and when it is found, and neither is a failure.
func TestAbsentAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log record
		var mu sync.Mutex // of the next two
		var looks []time.Duration
		here := false
		begin := time.Now()
		good := sourcetest.Good(1)
		s := sourcetest.New(sourcetest.Info(1, 1), func(ctx context.Context, i int) (uint64, error) {
			mu.Lock()
			defer mu.Unlock()
			if here {
				return good(ctx, i)
			}
			looks = append(looks, time.Since(begin)/time.Second)
			return 0, errNotHere
		})
		r := run(t, one(s), source.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		st := r.Status()[0]
		assert.Equal(t, source.StateAbsent, st.State)
		assert.Contains(t, st.LastError, "nobody plugged it in (plug it in)")
		assert.InDelta(t, 1, st.RetryIn, 0)
		time.Sleep(5*time.Minute + time.Millisecond)
		synctest.Wait()
		mu.Lock()
		assert.Equal(t, []time.Duration{0, 1, 3, 7, 15, 31, 63, 123, 183, 243}, looks)
		here = true
		mu.Unlock()
		assert.Equal(t, []source.State{source.StateAbsent}, r.states())
		assert.Equal(t, 1, strings.Count(log.String(), "\n"), "%s", log.String())
		assert.Contains(t, log.String(), "level=INFO")
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Equal(t, []source.State{source.StateAbsent, source.StateStarting, source.StateHealthy}, r.states())
		assert.Contains(t, log.String(), "noise source found")
		st = r.Status()[0]
		assert.Empty(t, st.Failures)
		assert.Zero(t, st.RetryIn)
		assert.Positive(t, r.bits)
		require.NoError(t, r.stop())
	})
}

// One that goes away while it is healthy is warned of, and back within seconds
// when it was healthy for long.
func TestAbsentLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log record
		s := sourcetest.New(sourcetest.Info(1, 1), sourcetest.Then(1024+32*100, sourcetest.Good(1),
			sourcetest.FailsTimes(3, errNotHere, sourcetest.Good(2))))
		r := run(t, one(s), source.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		time.Sleep(101*time.Second + time.Millisecond)
		synctest.Wait()
		assert.Equal(t, []source.State{source.StateHealthy, source.StateAbsent}, r.states())
		assert.Zero(t, r.Healthy())
		assert.Contains(t, log.String(), "level=WARN msg=\"noise source is gone; it is looked for again\"")
		time.Sleep(7 * time.Second)
		synctest.Wait()
		assert.Equal(t, 1, r.Healthy())
		assert.Equal(t, []source.State{
			source.StateHealthy, source.StateAbsent, source.StateStarting,
			source.StateHealthy,
		}, r.states())
		assert.Equal(t, 1, strings.Count(log.String(), "WARN"))
		require.NoError(t, r.stop())
	})
}

// Look shortens the wait of what is absent, also when it comes while one looks,
// and of nothing else.
func TestLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var looks atomic.Int64
		hold := make(chan struct{})
		absent := sourcetest.New(sourcetest.Info(1, 1), func(context.Context, int) (uint64, error) {
			if looks.Add(1) == 9 {
				<-hold
			}
			return 0, errNotHere
		})
		broken := sourcetest.New(sourcetest.Info(1, 1), sourcetest.Vanished())
		r := run(t, []source.Source{absent, broken})
		time.Sleep(100 * time.Second)
		synctest.Wait()
		require.EqualValues(t, 7, looks.Load())
		failures := r.Status()[1].Failures[source.FailureRead]
		r.Look()
		synctest.Wait()
		assert.EqualValues(t, 8, looks.Load())
		assert.InDelta(t, 1, r.Status()[0].RetryIn, 0, "its wait starts over")
		r.Look()
		synctest.Wait()
		assert.EqualValues(t, 9, looks.Load())
		r.Look() // the ninth look is under way and saw nothing yet
		close(hold)
		synctest.Wait()
		assert.EqualValues(t, 10, looks.Load())
		assert.Equal(t, failures, r.Status()[1].Failures[source.FailureRead])
		require.NoError(t, r.stop())
	})
}

// What a source says of itself may change when it is opened.
func TestDescriptionFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log record
		s := &renamed{Source: sourcetest.New(sourcetest.Info(1, 1), sourcetest.Good(1))}
		r := run(t, one(s), source.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		assert.Equal(t, "scripted source for tests, opened", r.Status()[0].Description)
		time.Sleep(time.Minute)
		assert.Equal(t, 1, strings.Count(log.String(), "in use"))
		require.NoError(t, r.stop())
	})
}

// renamed has another description once it was read.
type renamed struct{ *sourcetest.Source }

func (r *renamed) Info() source.Info {
	info := r.Source.Info()
	if r.Played() > 0 {
		info.Description += ", opened"
	}
	return info
}

// part is a source that breaks the rules of Sample.
type part struct{ n int }

func (p part) Info() source.Info                               { return sourcetest.Info(8, 1) }
func (p part) Sample(_ context.Context, _ []byte) (int, error) { return p.n, nil }
func (p part) Close() error                                    { return errors.New("jammed") }

func TestRuleBreakers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, []source.Source{part{7}, part{-1}, part{1 << 20}})
		for _, st := range r.Status() {
			assert.Equal(t, source.StateQuarantined, st.State)
			assert.Contains(t, st.LastError, "part of a sample")
		}
		require.ErrorContains(t, r.stop(), "close source fake: jammed")
	})
}

func TestRefusedDeclaration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sourcetest.New(sourcetest.Info(1, 9), sourcetest.Good(1))
		none := sourcetest.New(source.Info{}, sourcetest.Good(1))
		r := run(t, []source.Source{s, none})
		for _, st := range r.Status() {
			assert.Equal(t, source.StateAbsent, st.State)
			assert.NotEmpty(t, st.LastError)
		}
		require.NoError(t, r.stop())
		assert.Zero(t, s.Played())
		assert.Equal(t, 1, s.Closes())
		require.ErrorContains(t, r.Run(t.Context()), "ran before")
	})
}

// What cannot be is refused, and no default stands in for it.
func TestRefusedOptions(t *testing.T) {
	good := sourcetest.New(sourcetest.Info(1, 1), sourcetest.Good(1))
	for _, p := range []source.Pace{{Every: 0, Samples: 1}, {Every: -1, Samples: 1}, {Every: 1, Samples: 0}} {
		assert.Panics(t, func() {
			source.NewHarvester(one(good), nil, source.WithPace(func(source.Info) source.Pace { return p }))
		})
	}
	assert.Panics(t, func() { source.WithBackoff(0, time.Second) })
	assert.Panics(t, func() { source.WithBackoff(time.Second, time.Second-1) })
	source.WithBackoff(1, 1)
	for alpha, ok := range map[float64]bool{
		0x1p-60: true, math.Nextafter(0x1p-60, 0): false, 0x1p-10: true,
		math.Nextafter(0x1p-10, 1): false, math.NaN(): false,
	} {
		assert.Equal(t, ok, source.CheckAlpha(alpha) == nil, "%v", alpha)
		st := source.NewHarvester(one(good), nil, source.WithAlpha(alpha)).Status()[0]
		assert.Equal(t, ok, st.State == source.StateStarting, "%v", alpha)
		assert.Equal(t, !ok, strings.Contains(st.LastError, "false-alarm probability"), st.LastError)
	}
	assert.NoError(t, source.CheckAlpha(source.DefaultAlpha))
}

// A call that hangs, whatever its context says, is given up at the read
// timeout: the source is in quarantine, said once, and not called again before
// the call has returned. Its buffer is its own for as long.
func TestDeafSource(t *testing.T) {
	for name, before := range map[string]int{"at the start": 0, "half way": 500, "later": 1024} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log record
				var calls atomic.Int64
				release := make(chan struct{})
				s := sourcetest.New(sourcetest.Info(1, 1), sourcetest.Then(before, sourcetest.Good(1),
					func(ctx context.Context, i int) (uint64, error) {
						if calls.Add(1) == 1 {
							<-release
							return 0, ctx.Err()
						}
						return sourcetest.Good(2)(ctx, i)
					}))
				r := run(t, one(s), source.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
				r.Demand(1000)
				time.Sleep(10*time.Second - time.Millisecond)
				synctest.Wait()
				assert.NotContains(t, r.states(), source.StateQuarantined)
				time.Sleep(time.Millisecond)
				synctest.Wait()
				st := r.Status()[0]
				assert.Equal(t, source.StateQuarantined, st.State)
				assert.Equal(t, map[string]uint64{source.FailureRead: 1}, st.Failures)
				assert.Equal(t, "read source fake: no answer for 10 s", st.LastError)
				assert.Zero(t, r.Healthy())
				time.Sleep(time.Hour)
				synctest.Wait()
				st = r.Status()[0]
				assert.Equal(t, "read source fake: no answer for 3610 s", st.LastError)
				assert.Zero(t, st.RetryIn, "nobody knows")
				assert.EqualValues(t, 1, calls.Load(), "one call at a time")
				assert.Equal(t, 1, strings.Count(log.String(), "quarantined"))
				close(release)
				synctest.Wait()
				assert.InDelta(t, 1, r.Status()[0].RetryIn, 0)
				time.Sleep(time.Second)
				synctest.Wait()
				assert.Greater(t, calls.Load(), int64(1))
				require.NoError(t, r.stop())
			})
		})
	}
}

// What a call that was given up writes when it returns at last is in nobody's
// way (the race detector sees that), is not delivered, and is wiped.
func TestLateAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{Source: sourcetest.New(sourcetest.Info(1, 1), sourcetest.Good(1)), takes: 25 * time.Second}
		r := run(t, one(s))
		time.Sleep(25*time.Second + time.Millisecond) // and a second later it is called again
		synctest.Wait()
		assert.Empty(t, r.take())
		assert.Equal(t, health.StartupSamples, s.Played(), "it did answer")
		assert.Zero(t, r.Status()[0].Samples)
		require.NoError(t, r.stop())
		assert.Equal(t, make([]byte, health.StartupSamples), s.dst)
	})
}

// slow answers, though late.
type slow struct {
	*sourcetest.Source
	takes time.Duration
	dst   []byte
}

func (s *slow) Sample(_ context.Context, dst []byte) (int, error) {
	half := dst[:len(dst)/2]
	for i := range half {
		half[i] = 0xaa
	}
	time.Sleep(s.takes)
	s.dst = dst
	return s.Source.Sample(context.Background(), dst)
}

// A source that does not honour its context keeps Run for two graces at most,
// whether it was given up before or not, and also when it hangs in Close.
func TestStuckAtTheEnd(t *testing.T) {
	for _, waits := range []time.Duration{5 * time.Second, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			release := make(chan struct{})
			deaf := sourcetest.New(sourcetest.Info(1, 1), sourcetest.Deaf(release))
			shut := &stuckClose{sourcetest.New(sourcetest.Info(1, 1), sourcetest.Good(1)), release}
			good := sourcetest.New(sourcetest.Info(1, 1), sourcetest.Good(1))
			r := run(t, []source.Source{deaf, shut, good})
			time.Sleep(waits)
			begin := time.Now()
			err := r.stop()
			require.ErrorIs(t, err, source.ErrStuck)
			assert.Equal(t, 2, strings.Count(err.Error(), "fake"), "%v", err)
			assert.Equal(t, 2*time.Second, time.Since(begin))
			assert.Equal(t, 1, good.Closes())
			close(release) // synctest sees that its goroutines end then
		})
	}
}

type stuckClose struct {
	*sourcetest.Source
	release chan struct{}
}

func (s *stuckClose) Close() error {
	<-s.release
	return nil
}

func TestStatusJSON(t *testing.T) {
	s := source.NewHarvester(one(sourcetest.New(sourcetest.Info(1, 2), sourcetest.Good(1))), nil).Status()
	b, err := json.Marshal(s[0])
	require.NoError(t, err)
	require.JSONEq(t, `{"id":128,"name":"fake","description":"scripted source for tests","state":"starting",
		"healthy":false,"credited":true,"sample_bytes":1,"min_entropy_per_sample":2,"samples":0,
		"min_entropy_bits":0,"bytes_per_second":0,"failures":{}}`, string(b))
}

// What Status returns is the caller's own.
func TestStatusIsACopy(t *testing.T) {
	h := source.NewHarvester(one(sourcetest.New(sourcetest.Info(1, 2), sourcetest.Good(1))), nil)
	h.Status()[0].Failures["x"] = 1
	require.Empty(t, h.Status()[0].Failures)
}

// The sources of this machine, whatever they are, seed a consumer; Status,
// Demand and Run may be used at once.
func TestHarvestThisMachine(t *testing.T) {
	var sources []source.Source
	for _, f := range source.Probe() {
		assert.Equal(t, f.Source == nil, f.Err != nil)
		if f.Source == nil {
			assert.Equal(t, source.StateAbsent, f.Status().State)
			t.Log(f.Err)
			continue
		}
		sources = append(sources, f.Source)
	}
	var ledger source.Ledger
	var seen sync.Map
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	h := source.NewHarvester(sources, func(b source.Batch) {
		ledger.Add(b.Bits)
		seen.Store(b.Info.Name, len(b.Data))
	})
	var wg sync.WaitGroup
	wg.Go(func() {
		defer cancel()
		for ctx.Err() == nil {
			h.Demand(64)
			if ledger.Seeded() && !slices.ContainsFunc(h.Status(), func(s source.Status) bool {
				return !s.Healthy && s.ID != source.IDArrivals
			}) {
				return
			}
			time.Sleep(time.Millisecond)
		}
	})
	require.NoError(t, h.Run(ctx))
	wg.Wait()
	require.True(t, ledger.Seeded())
	_, ok := seen.Load(source.NameKernel)
	assert.True(t, ok, "the kernel's generator is always mixed in")
	for _, s := range h.Status() {
		t.Logf("%-8s %s: %d samples, %.0f bits, %.0f B/s %s", s.Name, s.State, s.Samples, s.MinEntropyBits,
			s.BytesPerSecond, s.LastError)
	}
}
