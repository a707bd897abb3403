package scenario

import (
	"context"
	"time"

	"github.com/xentropyd/xentropyd/lab/internal/agent"
	"github.com/xentropyd/xentropyd/lab/internal/report"
	"github.com/xentropyd/xentropyd/lab/internal/xen"
)

// Test is a package's tests, to run inside.
type Test struct {
	Package string // one of TestPackages
	Run     string // -test.run, "" for all
	Env     []string
	Args    []string
	Limit   time.Duration // 0 for ten minutes
}

// GoTest runs compiled tests in a place; each of them is a part of t. Without any test that ran, t fails.
func GoTest(t *report.T, p xen.Place, test Test) {
	limit := test.Limit
	if limit == 0 {
		limit = 10 * time.Minute
	}
	argv := []string{xen.BinDir + "/" + xen.TestBinary(test.Package), "-test.v=test2json", "-test.timeout=" + limit.String()}
	if test.Run != "" {
		argv = append(argv, "-test.run="+test.Run)
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit+time.Minute) // the test's own limit says more
	defer cancel()
	out := report.GoTest{Result: t.Add}
	r, err := p.Exec(ctx, agent.Command{Argv: append(argv, test.Args...), Env: test.Env, Dir: "/tmp", Output: func(b []byte) { _, _ = out.Write(b) }})
	if err != nil {
		t.Fatalf("%v", err)
	}
	if r.Lost > 0 {
		t.Logf("%d pieces of output got lost on the way, results may be missing", r.Lost)
	}
	switch {
	case r.Code != 0 && out.Count(report.Fail) == 0:
		t.Fatalf("tests of %s ended with status %d:\n%s", test.Package, r.Code, out.Rest())
	case r.Code != 0:
		t.FailNow()
	case out.Count(report.Pass) == 0:
		t.Fatalf("no test of %s ran:\n%s", test.Package, out.Rest())
	}
}
