package main

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"time"
)

// contender is one way to do a thing. once does it and returns the figure, in
// the comparison's unit.
type contender struct {
	name string
	once func() float64
}

// comparison is contenders side by side; the first is the baseline. A
// comparison of one contender is a figure with a target.
type comparison struct {
	name   string
	unit   string
	field  []contender
	rounds int // 0: as the command line says
	// target is what the second contender's ratio to the first, or the only
	// contender's figure, must reach.
	target target
}

// target is a bound. The zero value is none.
type target struct {
	kind  byte // '<' at most, '>' at least
	bound float64
	also  func(base float64) float64 // a bound that depends on the baseline, instead of bound
	words string
}

func atLeast(x float64) target {
	return target{kind: '>', bound: x, words: fmt.Sprintf("at least %.4g", x)}
}

func atMost(x float64) target {
	return target{kind: '<', bound: x, words: fmt.Sprintf("at most %.4g", x)}
}

func (t target) met(x float64) bool {
	return t.kind == 0 || t.kind == '<' && x <= t.bound || t.kind == '>' && x >= t.bound
}

// setup is what a group needs while it is measured.
type setup struct {
	match  *regexp.Regexp
	rounds int
	err    error // of a contender, the first
	closes []func()
}

func (s *setup) defer_(f func()) { s.closes = append(s.closes, f) }

func (s *setup) close() {
	for _, f := range slices.Backward(s.closes) {
		f()
	}
}

// fail keeps the first error; the report is then worth nothing.
func (s *setup) fail(err error) {
	if err != nil && s.err == nil {
		s.err = err
	}
}

// turn is how long one turn of a repeated operation lasts, about. It is shorter
// than what a scheduler gives a process at once: on a busy machine most turns
// then run undisturbed, and the median is of those.
const turn = time.Millisecond

// pace remembers how often an operation fits into a turn.
type pace struct{ n int }

// ns repeats op for one turn and returns nanoseconds per operation.
func (p *pace) ns(op func()) float64 {
	for p.n == 0 {
		op() // warm
		for n := 1; ; n *= 2 {
			if d := timed(n, op); d >= turn/2 {
				p.n = max(1, int(float64(n)*float64(turn)/float64(d)))
				break
			}
		}
	}
	return float64(timed(p.n, op).Nanoseconds()) / float64(p.n)
}

func timed(n int, op func()) time.Duration {
	start := time.Now()
	for range n {
		op()
	}
	return time.Since(start)
}

// ns returns a contender that repeats op, in nanoseconds.
func ns(name string, op func()) contender {
	var p pace
	return contender{name, func() float64 { return p.ns(op) }}
}

// mb returns a contender that repeats op, which moves size bytes, in megabytes
// (10^6 bytes) per second.
func mb(name string, size int, op func()) contender {
	var p pace
	return contender{name, func() float64 { return float64(size) * 1e3 / p.ns(op) }}
}

func median(x []float64) float64 {
	x = slices.Sorted(slices.Values(x))
	if n := len(x); n%2 == 0 {
		return (x[n/2-1] + x[n/2]) / 2
	}
	return x[len(x)/2]
}

// report measures and prints a table, and returns the names of what missed its
// target.
func report(w io.Writer, list []comparison, rounds int) (missed []string) {
	fmt.Fprintln(w, "| what | contender | median | ratio (lowest–highest) | target | |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|")
	for _, c := range list {
		n := rounds
		if c.rounds > 0 {
			n = c.rounds
		}
		figures := make([][]float64, len(c.field))
		ratios := make([][]float64, len(c.field))
		for range n {
			for i, f := range c.field {
				figures[i] = append(figures[i], f.once())
				ratios[i] = append(ratios[i], figures[i][len(figures[i])-1]/figures[0][len(figures[0])-1])
			}
		}
		for i, f := range c.field {
			ratio, goal, ok := "", "", ""
			if i > 0 {
				ratio = fmt.Sprintf("%.3g (%.3g–%.3g)", median(ratios[i]), slices.Min(ratios[i]), slices.Max(ratios[i]))
			}
			if judged := min(1, len(c.field)-1); i == judged && c.target.kind != 0 {
				x := median(figures[i])
				if len(c.field) > 1 && c.target.also == nil {
					x = median(ratios[i])
				}
				t := c.target
				if t.also != nil {
					t.bound = t.also(median(figures[0]))
				}
				goal, ok = t.words, "met"
				if !t.met(x) {
					ok = "**missed**"
					missed = append(missed, c.name)
				}
			}
			fmt.Fprintf(w, "| %s | %s | %s %s | %s | %s | %s |\n", c.name, f.name,
				number(median(figures[i])), c.unit, ratio, goal, ok)
		}
	}
	return missed
}

// number prints three digits that matter.
func number(x float64) string {
	switch {
	case x >= 100:
		return fmt.Sprintf("%.0f", x)
	case x >= 10:
		return fmt.Sprintf("%.1f", x)
	}
	return fmt.Sprintf("%.3g", x)
}
