package demo

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/xentropyd/xentropyd/internal/cli"
)

// Summary says in words what was to be seen. Lines are broken to width columns.
func (r *Result) Summary(w io.Writer, width int) {
	if !r.OK {
		fmt.Fprintln(w, "not everything went as promised:")
		for _, p := range r.Problems {
			item(w, width, "%s", p)
		}
		return
	}
	fmt.Fprintf(w, "What happened in these %.0f seconds:\n", r.Seconds)
	var good, bad []string
	var bits float64
	for _, s := range r.Sources {
		switch {
		case !s.Credited:
		case s.Healthy:
			good = append(good, s.Name)
			bits += s.MinEntropyBits
		default:
			bad = append(bad, s.Name)
		}
	}
	text := fmt.Sprintf("Noise from %s passed its health tests. It was enough to seed the daemon %s after it started, "+
		"and %s of entropy were gathered in all.",
		and(good), span(r.SeededIn), cli.Bits(bits))
	if len(bad) > 0 {
		text += " " + and(bad) + " did not pass."
	}
	item(w, width, "%s", text)
	var seeds, seedBytes, read uint64
	var pause float64
	var killed string
	for _, g := range r.Guests {
		seeds += g.Seeds
		seedBytes += g.SeedBytes
		read += g.Bytes
		pause = max(pause, g.LongestPause)
		if g.Kills > 0 {
			killed = g.Name
		}
	}
	item(w, width, "The daemon gave %d guests %d seeds (%s), each drawn for one guest alone.",
		len(r.Guests), seeds, cli.Bytes(seedBytes))
	item(w, width, "%s was killed; started again, it was seeded within %s.", killed, span(r.GuestBackIn))
	item(w, width, "The daemon itself was killed and stayed away for %.1f s. The guests read on all the time "+
		"(longest pause between two reads: %s), connected again by themselves when it came back, and got new seeds.",
		r.Outage, span(pause/1000))
	item(w, width, "Then a new generation began, as after cloning a machine: every guest threw away what it had "+
		"buffered "+
		"and took a fresh seed.")
	item(w, width, "The guests read %s of random bytes. All %s blocks of 16 bytes were compared by their hashes: "+
		"none came twice, in one guest or in two.",
		cli.Bytes(read), thousands(r.BlocksCompared))
	fmt.Fprintln(w, "Every process has ended and every file is removed.")
	fmt.Fprintln(w, "To do it for real: xentropyd run here, entropy-guest run in each guest.")
}

// item prints a paragraph behind a dash.
func item(w io.Writer, width int, format string, args ...any) {
	cli.Wrap(w, width, "- ", fmt.Sprintf(format, args...))
}

func and(names []string) string {
	switch n := len(names); n {
	case 0:
		return "no source"
	case 1:
		return names[0]
	default:
		return strings.Join(names[:n-1], ", ") + " and " + names[n-1]
	}
}

func span(seconds float64) string { return cli.Duration(time.Duration(seconds * float64(time.Second))) }

// thousands writes 466000 as 466,000.
func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
