package scenario

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/lab/internal/agent"
	"github.com/xentropyd/xentropyd/lab/internal/report"
	"github.com/xentropyd/xentropyd/lab/internal/xen"
)

// Our choices: how much each exchange moves, in bytes, and how often a channel is connected.
const (
	vchanBytes    = 100_000
	vchanConnects = 1000
)

func vchanC(t *report.T, d *xen.Dom0) {
	GoTest(t, d.Place, Test{Package: vchanPackage, Run: "^TestRealCPeer$", Env: []string{"XENTROPYD_VCHAN_CPEER=" + xen.BinDir + "/" + xen.CPeer}})
}

// vchanProxy: Xen's own program between a Unix socket and our vchan.
func vchanProxy(t *report.T, d *xen.Dom0) {
	GoTest(t, d.Place, Test{
		Package: vchanPackage, Run: "^TestRealProxy$",
		Env: []string{"XENTROPYD_VCHAN_PROXY=" + xen.UtilsDir + "/vchan-socket-proxy", fmt.Sprintf("XENTROPYD_VCHAN_BYTES=%d", vchanBytes)},
	})
}

// ends are two domains and their numbers.
type ends struct {
	server, client     xen.Place
	serverID, clientID uint16
}

// vchanEnds starts a guest and gives it and dom0 in both roles.
func vchanEnds(t *report.T, d *xen.Dom0, name string) []ends {
	g, err := d.Start(t.Context(), xen.GuestConfig{Name: name, Type: xen.PV})
	require.NoError(t, err)
	id, err := d.Domid(t.Context(), name)
	require.NoError(t, err)
	return []ends{{d.Place, g, 0, id}, {g, d.Place, id, 0}}
}

func (e ends) String() string { return fmt.Sprintf("server in domain %d", e.serverID) }

// path is where the server offers: in a directory of its own domain.
func (e ends) path(name string) string {
	return fmt.Sprintf("/local/domain/%d/data/vchan/%d/%s", e.serverID, e.clientID, name)
}

func (e ends) env(role, path string, more ...string) []string {
	peer := e.clientID
	if role == "client" {
		peer = e.serverID
	}
	return append(more, "XENTROPYD_VCHAN_ROLE="+role, fmt.Sprintf("XENTROPYD_VCHAN_PEER=%d", peer), "XENTROPYD_VCHAN_PATH="+path,
		fmt.Sprintf("XENTROPYD_VCHAN_BYTES=%d", vchanBytes))
}

// both runs two parts of a test at once.
func both(t *report.T, parts map[string]func(*report.T)) {
	var wg sync.WaitGroup
	for name, f := range parts {
		wg.Go(func() { t.Run(name, f) })
	}
	wg.Wait()
}

func vchanGuest(t *report.T, d *xen.Dom0) {
	for _, e := range vchanEnds(t, d, "vchan") {
		test := func(p xen.Place, role string) func(*report.T) {
			return func(t *report.T) {
				GoTest(t, p, Test{
					Package: vchanPackage, Run: "^TestReal(Exchange|Connects|Killed|Port)$",
					Env: e.env(role, e.path("t"), fmt.Sprintf("XENTROPYD_VCHAN_CONNECTS=%d", vchanConnects)),
				})
			}
		}
		t.Run(e.String(), func(t *report.T) {
			before := countXen(t, d, e.serverID, e.clientID)
			both(t, map[string]func(*report.T){"server": test(e.server, "server"), "client": test(e.client, "client")})
			sameCounts(t, d, before, e.serverID, e.clientID)
		})
	}
}

// vchanGuestC: the C library's server makes rings of all orders, ours those of the default.
func vchanGuestC(t *report.T, d *xen.Dom0) {
	n := 0
	for _, e := range vchanEnds(t, d, "vchan-c") {
		for _, c := range []struct{ role, args string }{
			{"server", "--left 2048 --right 1024"},
			{"server", "--left 1024 --right 2048 --nonblock"},
			{"server", "--left 4096 --right 4096 --close first"},
			{"server", "--left 65536 --right 65536 --close first --nonblock"},
			{"client", ""},
			{"client", "--nonblock"},
			{"client", "--close first"},
			{"client", "--close first --nonblock"},
		} {
			n++
			path := e.path(fmt.Sprintf("c-%d", n))
			there, ours, role, peer := e.server, e.client, "client", e.clientID
			if c.role == "client" {
				there, ours, role, peer = e.client, e.server, "server", e.serverID
			}
			closing := "first"
			if strings.Contains(c.args, "--close first") {
				closing = "last"
			}
			t.Run(strings.TrimSpace(fmt.Sprintf("%v, C is the %s %s", e, c.role, c.args)), func(t *report.T) {
				both(t, map[string]func(*report.T){
					"C": func(t *report.T) {
						argv := append([]string{xen.BinDir + "/" + xen.CPeer, c.role, fmt.Sprint(peer), path, "pattern", fmt.Sprint(vchanBytes)}, strings.Fields(c.args)...)
						ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
						defer cancel()
						r, err := there.Exec(ctx, agent.Command{Argv: argv})
						require.NoError(t, err)
						require.Zero(t, r.Code, "%s", r.Output)
						require.Contains(t, string(r.Output), "done")
					},
					"ours": func(t *report.T) {
						GoTest(t, ours, Test{
							Package: vchanPackage, Run: "^TestRealCPeer$", Limit: 2 * time.Minute,
							Env: e.env(role, path, "XENTROPYD_VCHAN_CPEER=remote", "XENTROPYD_VCHAN_CLOSE="+closing),
						})
					},
				})
			})
		}
	}
}
