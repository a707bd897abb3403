// Command bench measures xentropyd beside its baselines and its peers, and
// prints the tables of docs/performance.md:
//
//	go run ./bench             # everything that this machine can measure, a few minutes
//	go run ./bench -run ring   # what has "ring" in its name
//	go run ./bench -check      # exit status 1 if a target is missed
//
// The machines are noisy, so nothing is measured alone: all contenders of a
// comparison take turns, round after round, each figure is a median over the
// rounds, and each ratio is the median of the ratios within the rounds.
package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"slices"
)

func main() {
	if role := os.Getenv(peerEnv); role != "" {
		if err := peer(role); err != nil {
			fmt.Fprintln(os.Stderr, "bench peer:", err)
			os.Exit(1)
		}
		return
	}
	pattern := flag.String("run", "", "measure only comparisons whose name matches this regular expression")
	rounds := flag.Int("rounds", 201, "rounds of each comparison")
	live := flag.Int("live", 32, "MiB of live memory: a process that has none collects garbage after every 4 MB "+
		"that it allocates")
	check := flag.Bool("check", false, "exit with status 1 if a target is missed")
	flag.Parse()
	re, err := regexp.Compile(*pattern)
	if err != nil || *rounds < 1 || *live < 0 || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "bench: bad arguments: see -help")
		os.Exit(2)
	}
	heap := make([]byte, *live<<20)
	defer runtime.KeepAlive(heap)
	missed, err := run(re, *rounds)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	if *check && len(missed) > 0 {
		fmt.Fprintf(os.Stderr, "bench: missed: %q\n", missed)
		os.Exit(1)
	}
}

// groups are the comparisons in the order of the report. Each is prepared only
// when its turn comes.
var groups = []struct {
	title   string
	prepare func(*setup) ([]comparison, error)
}{
	{"Generators, one core", generators},
	{"Noise sources", sources},
	{"Local channel, two processes", channels},
	{"Daemon", daemons},
}

func run(re *regexp.Regexp, rounds int) (missed []string, err error) {
	fmt.Printf("Machine: %s\n", machine())
	for _, g := range groups {
		s := &setup{match: re, rounds: rounds}
		list, err := g.prepare(s)
		if err == nil {
			list = slices.DeleteFunc(list, func(c comparison) bool { return !re.MatchString(c.name) })
			if len(list) > 0 {
				fmt.Printf("\n### %s\n\n", g.title)
				missed = append(missed, report(os.Stdout, list, rounds)...)
			}
			err = s.err
		}
		s.close()
		if err != nil {
			return missed, fmt.Errorf("%s: %w", g.title, err)
		}
	}
	return missed, nil
}
