package scenario

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/lab/internal/agent"
	"github.com/xentropyd/xentropyd/lab/internal/report"
	"github.com/xentropyd/xentropyd/lab/internal/xen"
)

func dev2(t *report.T, d *xen.Dom0) {
	service(t, d, "console = false\n[budget]\nbytes = 65536\n")
	g, err := d.Start(t.Context(), xen.GuestConfig{Name: "start", Type: xen.PV})
	require.NoError(t, err)
	id, err := d.Domid(t.Context(), "start")
	require.NoError(t, err)
	runs, _ := strconv.Atoi(os.Getenv("DEVRUNS"))
	once := "entropy-guest run --once --wait 2m"
	progs := []string{"C", benchProgram + " hello", "entropy-guest version", once}
	for _, v := range strings.Split(os.Getenv("DEVVARIANTS"), ";") {
		if v != "" {
			progs = append(progs, "/usr/bin/env "+v+" "+once)
		}
	}
	wall, cpu := make([]sample, len(progs)), make([]sample, len(progs))
	for run := range runs + 1 {
		for i, p := range progs {
			argv := strings.Fields(p)
			var took, c float64
			if p == "C" {
				took = startC(t, d, g, id, run)
				c = lastCPU
			} else {
				var env []string
				if argv[0] == "/usr/bin/env" {
					env, argv = argv[1:2], argv[2:]
				}
				r, err := g.Exec(t.Context(), agent.Command{Argv: append([]string{benchProgram, "time"}, argv...), Env: env})
				require.NoError(t, err)
				_, err = fmt.Sscanf(string(r.Output), "took %f s, CPU %f s", &took, &c)
				require.NoError(t, err, "%s", r.Output)
			}
			if run > 0 {
				wall[i] = append(wall[i], took*1000)
				cpu[i] = append(cpu[i], c*1000)
			}
		}
	}
	for i, p := range progs {
		t.Logf("%-60s wall %s CPU %s", p, wall[i].spread("%.0f"), cpu[i].spread("%.0f"))
	}
	out, err := g.Shell(t.Context(), "GODEBUG=inittrace=1 entropy-guest run --once 2>&1")
	t.Logf("%v %s", err, out)
}
