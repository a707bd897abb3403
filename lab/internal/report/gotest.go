package report

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// GoTest reads what a compiled Go test prints with -test.v=test2json, which marks the lines that are its own, and gives each result as it
// comes. It is an io.Writer.
type GoTest struct {
	// Result gets each test and subtest that has ended.
	Result func(Result)

	part    []byte
	current string
	output  map[string]*strings.Builder
	counts  map[Status]int
}

// goMark stands before a line of the testing package's own (SYN, see go doc cmd/test2json).
const goMark = 0x16

var (
	goResult = regexp.MustCompile(`^ *--- (PASS|FAIL|SKIP): (.+) \(([0-9.]+)s\)$`)
	goName   = regexp.MustCompile(`^=== (?:RUN|NAME|CONT|PAUSE) +(.*)$`)
)

// Write takes output in pieces of any size.
func (g *GoTest) Write(p []byte) (int, error) {
	g.part = append(g.part, p...)
	for {
		line, rest, ok := bytes.Cut(g.part, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		g.line(strings.TrimRight(string(line), "\r"))
		g.part = append([]byte(nil), rest...)
	}
}

// Count says how many tests ended so.
func (g *GoTest) Count(s Status) int { return g.counts[s] }

func (g *GoTest) line(line string) {
	// The mark may come behind output that had no line feed.
	if i := strings.IndexByte(line, goMark); i >= 0 {
		if i > 0 {
			g.add(line[:i])
		}
		g.event(line[i+1:])
		return
	}
	g.add(line)
}

func (g *GoTest) event(line string) {
	if m := goName.FindStringSubmatch(line); m != nil {
		g.current = m[1]
		return
	}
	m := goResult.FindStringSubmatch(line)
	if m == nil {
		return
	}
	seconds, _ := strconv.ParseFloat(m[3], 64)
	r := Result{Name: m[2], Status: Status(m[1]), Duration: time.Duration(seconds * float64(time.Second))}
	if b := g.output[r.Name]; b != nil {
		r.Output = b.String()
		delete(g.output, r.Name)
	}
	if g.counts == nil {
		g.counts = make(map[Status]int)
	}
	g.counts[r.Status]++
	g.current = r.Name // output of a finished test may follow
	if g.Result != nil {
		g.Result(r)
	}
}

func (g *GoTest) add(line string) {
	if g.output == nil {
		g.output = make(map[string]*strings.Builder)
	}
	b := g.output[g.current]
	if b == nil {
		b = new(strings.Builder)
		g.output[g.current] = b
	}
	b.WriteString(line + "\n")
}

// Rest is output that belongs to no test that has ended: what a crash printed, for instance.
func (g *GoTest) Rest() string {
	var b strings.Builder
	for _, o := range g.output {
		b.WriteString(o.String())
	}
	b.Write(g.part)
	return b.String()
}
