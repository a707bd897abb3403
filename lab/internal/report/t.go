package report

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// Status is how a test ended.
type Status string

// The statuses, as go test has them.
const (
	Pass Status = "PASS"
	Fail Status = "FAIL"
	Skip Status = "SKIP"
)

// Result is one line of the report.
type Result struct {
	Name     string
	Status   Status
	Duration time.Duration
	Output   string // what it logged
}

// Runner collects and prints results.
type Runner struct {
	Out io.Writer
	// Verbose prints what passing tests logged, too.
	Verbose bool

	mu      sync.Mutex
	results []Result
}

// Results are all so far, in the order of ending.
func (r *Runner) Results() []Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.results)
}

// Add takes the result of a test that ran elsewhere.
func (r *Runner) Add(result Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.results = append(r.results, result)
	indent := strings.Repeat("    ", strings.Count(result.Name, "/"))
	fmt.Fprintf(r.Out, "%s--- %s: %s (%.2fs)\n", indent, result.Status, result.Name, result.Duration.Seconds())
	if result.Output != "" && (r.Verbose || result.Status != Pass) {
		for line := range strings.Lines(result.Output) {
			fmt.Fprintf(r.Out, "%s    %s\n", indent, strings.TrimRight(line, "\r\n"))
		}
	}
}

// Run runs a test and says whether it passed or was skipped.
func (r *Runner) Run(ctx context.Context, name string, f func(*T)) bool {
	t := &T{runner: r, ctx: ctx, name: name}
	r.mu.Lock()
	fmt.Fprintf(r.Out, "=== RUN   %s\n", name)
	r.mu.Unlock()
	begin := time.Now()
	done := make(chan struct{})
	go func() { // FailNow ends the goroutine
		defer close(done)
		defer t.cleanup()
		defer func() {
			if p := recover(); p != nil {
				stack := make([]byte, 8<<10)
				t.Errorf("panic: %v\n%s", p, stack[:runtime.Stack(stack, false)])
			}
		}()
		f(t)
	}()
	<-done
	t.mu.Lock()
	defer t.mu.Unlock()
	status := Pass
	switch {
	case t.failed:
		status = Fail
	case t.skipped:
		status = Skip
	}
	r.Add(Result{Name: name, Status: status, Duration: time.Since(begin), Output: t.log.String()})
	return status != Fail
}

// T is a running test; its methods are those of testing.T, and any goroutine may call them, but FailNow, Fatalf and Skipf belong to the test's own.
type T struct {
	runner *Runner
	ctx    context.Context
	name   string

	mu       sync.Mutex
	failed   bool
	skipped  bool
	log      strings.Builder
	cleanups []func()
}

// Context ends when the lab is interrupted or out of time.
func (t *T) Context() context.Context { return t.ctx }

// Name is the test's whole name.
func (t *T) Name() string { return t.name }

// Helper is there because testing.T has it.
func (t *T) Helper() {}

// Logf adds to what is printed should the test fail.
func (t *T) Logf(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(&t.log, strings.TrimSuffix(format, "\n")+"\n", args...)
}

// Errorf logs and fails the test, which goes on.
func (t *T) Errorf(format string, args ...any) {
	t.Logf(format, args...)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failed = true
}

// FailNow ends the test as failed.
func (t *T) FailNow() {
	t.mu.Lock()
	t.failed = true
	t.mu.Unlock()
	runtime.Goexit()
}

// Fatalf logs and ends the test as failed.
func (t *T) Fatalf(format string, args ...any) {
	t.Logf(format, args...)
	t.FailNow()
}

// Skipf logs and ends the test as skipped.
func (t *T) Skipf(format string, args ...any) {
	t.Logf(format, args...)
	t.mu.Lock()
	t.skipped = true
	t.mu.Unlock()
	runtime.Goexit()
}

// Failed says whether the test has failed.
func (t *T) Failed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failed
}

// Cleanup calls f when the test ends, the last one first. Its context may have ended by then.
func (t *T) Cleanup(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cleanups = append(t.cleanups, f)
}

func (t *T) cleanup() {
	for {
		t.mu.Lock()
		n := len(t.cleanups)
		if n == 0 {
			t.mu.Unlock()
			return
		}
		f := t.cleanups[n-1]
		t.cleanups = t.cleanups[:n-1]
		t.mu.Unlock()
		f()
	}
}

// Run runs a part of the test; its failure is the whole's.
func (t *T) Run(name string, f func(*T)) bool {
	ok := t.runner.Run(t.ctx, t.name+"/"+strings.ReplaceAll(name, " ", "_"), f)
	if !ok {
		t.mu.Lock()
		t.failed = true
		t.mu.Unlock()
	}
	return ok
}

// Add takes a part that ran elsewhere: its name is relative to the test's.
func (t *T) Add(r Result) {
	r.Name = t.name + "/" + r.Name
	t.runner.Add(r)
	if r.Status == Fail {
		t.mu.Lock()
		t.failed = true
		t.mu.Unlock()
	}
}
