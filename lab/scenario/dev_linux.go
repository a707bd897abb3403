package scenario

import (
	"context"
	"fmt"
	"os"
	"strings"
	"strconv"
	"sync"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/lab/internal/agent"
	"github.com/xentropyd/xentropyd/lab/internal/report"
	"github.com/xentropyd/xentropyd/lab/internal/xen"
	"github.com/xentropyd/xentropyd/vchan/ring"
)

func dev(t *report.T, d *xen.Dom0) {
	variants := strings.Split(os.Getenv("DEVVARIANTS"), ";")
	e := vchanEnds(t, d, "dev")[1]
	runs, _ := strconv.Atoi(os.Getenv("DEVRUNS"))
	n := 0
	for _, o := range benchOrders {
		if v := os.Getenv("DEVORDER"); v != "" && !strings.Contains(v, fmt.Sprint(o.Left)) {
			continue
		}
		for _, toServer := range []bool{true, false} {
			sp := make([]sample, len(variants))
			ev := make([]sample, len(variants))
			for range runs {
				for i, v := range variants {
					n++
					a, b := devRun(t, transfer{e, toServer, o}, n, strings.Fields(v), o)
					sp[i] = append(sp[i], a)
					ev[i] = append(ev[i], b/(float64(benchBytes)/1e6))
				}
			}
			for i, v := range variants {
				t.Logf("%v toServer %v %-30s %s MB/s  %s ev/MB", o, toServer, v, sp[i].spread("%.2f"), ev[i].spread("%.0f"))
			}
		}
	}
}

func devRun(t *report.T, x transfer, n int, env []string, o ring.Orders) (speed, events float64) {
	path := x.path(fmt.Sprintf("d-%d", n))
	var wg sync.WaitGroup
	var out [2]string
	for i, role := range []string{"server", "client"} {
		place, peer, mode := x.server, x.clientID, "send"
		if role == "client" {
			place, peer = x.client, x.serverID
		}
		if x.toServer == (role == "server") {
			mode = "recv"
		}
		argv := []string{benchProgram, mode, role, fmt.Sprint(peer), path, fmt.Sprint(benchBytes),
			fmt.Sprint(o.Left), fmt.Sprint(o.Right), fmt.Sprint(benchPortion)}
		if env[0] == "C" {
			argv = []string{xen.BinDir + "/" + xen.CPeer, role, fmt.Sprint(peer), path, mode, fmt.Sprint(benchBytes), "--plain",
				"--left", fmt.Sprint(1 << o.Left), "--right", fmt.Sprint(1 << o.Right), "--most", fmt.Sprint(benchPortion)}
			if mode == "send" {
				argv = append(argv, "--close", "first")
			}
		}
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), benchLimit)
			defer cancel()
			r, err := place.Exec(ctx, agent.Command{Argv: argv, Env: env})
			if err == nil {
				out[i] = string(r.Output)
			}
		})
	}
	wg.Wait()
	for _, s := range out {
		for line := range strings.Lines(s) {
			var mode string
			var bytes int
			var took, rate, n float64
			if _, err := fmt.Sscanf(line, "%s %d bytes in %f s, %f MB/s, %f events", &mode, &bytes, &took, &rate, &n); err != nil {
				continue
			}
			events += n
			if mode == "send" {
				speed = rate
			}
		}
	}
	require.Positive(t, speed, "%q", out)
	return speed, events
}
