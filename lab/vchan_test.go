//go:build lab && linux

package lab

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/lab/internal/xen"
)

// Our choices: how much each exchange moves, in bytes, and how often a channel
// is connected.
const (
	vchanBytes    = 100_000
	vchanConnects = 1000
)

// TestVchanC: vchan against Debian's libxenvchan inside dom0: both roles, all
// orders, either closes.
func TestVchanC(t *testing.T) {
	short(t, func(t *testing.T, d *xen.Dom0) {
		goTest(t, d.Place, xen.VchanTests, "^TestRealCPeer$", "XENTROPYD_VCHAN_CPEER="+xen.CPeer)
	})
}

// TestVchanProxy: vchan with Xen's vchan-socket-proxy between it and a Unix
// socket, in both roles.
func TestVchanProxy(t *testing.T) {
	long(t, func(t *testing.T, d *xen.Dom0) {
		goTest(t, d.Place, xen.VchanTests, "^TestRealProxy$",
			"XENTROPYD_VCHAN_PROXY="+xen.UtilsDir+"/vchan-socket-proxy",
			fmt.Sprintf("XENTROPYD_VCHAN_BYTES=%d", vchanBytes))
	})
}

// ends are two domains and their numbers.
type ends struct {
	server, client     xen.Place
	serverID, clientID uint16
}

// vchanEnds starts a guest and gives it and dom0 in both roles.
func vchanEnds(t *testing.T, d *xen.Dom0, name string) []ends {
	g := start(t, d, xen.GuestConfig{Name: name})
	id := domid(t, d, name)
	return []ends{{d.Place, g, 0, id}, {g, d.Place, id, 0}}
}

func (e ends) String() string { return fmt.Sprintf("server in domain %d", e.serverID) }

// path is where the server offers: in a directory of its own domain.
func (e ends) path(name string) string {
	return fmt.Sprintf("/local/domain/%d/data/vchan/%d/%s", e.serverID, e.clientID, name)
}

// role is where one end is, and the number of its peer.
func (e ends) role(role string) (place xen.Place, peer uint16) {
	if role == "client" {
		return e.client, e.serverID
	}
	return e.server, e.clientID
}

// goTest runs one end's tests.
func (e ends) goTest(t *testing.T, pattern, role, path string, env ...string) {
	place, peer := e.role(role)
	goTest(t, place, xen.VchanTests, pattern, append(env,
		"XENTROPYD_VCHAN_ROLE="+role, fmt.Sprintf("XENTROPYD_VCHAN_PEER=%d", peer), "XENTROPYD_VCHAN_PATH="+path,
		fmt.Sprintf("XENTROPYD_VCHAN_BYTES=%d", vchanBytes))...)
}

// both runs two parts of a test at once.
func both(t *testing.T, parts map[string]func(*testing.T)) {
	var wg sync.WaitGroup
	for name, f := range parts {
		wg.Go(func() { t.Run(name, f) })
	}
	wg.Wait()
}

// TestVchanGuest: vchan between dom0 and a PV guest: exchange, many connects,
// either end killed, both roles.
func TestVchanGuest(t *testing.T) {
	long(t, func(t *testing.T, d *xen.Dom0) {
		for _, e := range vchanEnds(t, d, "vchan") {
			test := func(role string) func(*testing.T) {
				return func(t *testing.T) {
					e.goTest(t, "^TestReal(Exchange|Connects|Killed|Port)$", role, e.path("t"),
						fmt.Sprintf("XENTROPYD_VCHAN_CONNECTS=%d", vchanConnects))
				}
			}
			t.Run(e.String(), func(t *testing.T) {
				before := countXen(t, d, e.serverID, e.clientID)
				both(t, map[string]func(*testing.T){"server": test("server"), "client": test("client")})
				sameCounts(t, d, before, e.serverID, e.clientID)
			})
		}
	})
}

// TestVchanGuestC: the same with libxenvchan on either side. The C library's
// server makes rings of all orders, ours those of the default.
func TestVchanGuestC(t *testing.T) {
	long(t, func(t *testing.T, d *xen.Dom0) {
		for _, e := range vchanEnds(t, d, "vchan-c") {
			for i, c := range []struct{ role, ours, args string }{
				{"server", "client", "--left 2048 --right 1024"},
				{"server", "client", "--left 1024 --right 2048 --nonblock"},
				{"server", "client", "--left 4096 --right 4096 --close first"},
				{"server", "client", "--left 65536 --right 65536 --close first --nonblock"},
				{"client", "server", ""},
				{"client", "server", "--nonblock"},
				{"client", "server", "--close first"},
				{"client", "server", "--close first --nonblock"},
			} {
				path := e.path(fmt.Sprintf("c-%d", i))
				closing := "first"
				if strings.Contains(c.args, "--close first") {
					closing = "last"
				}
				t.Run(strings.TrimSpace(fmt.Sprintf("%v, C is the %s %s", e, c.role, c.args)), func(t *testing.T) {
					both(t, map[string]func(*testing.T){
						"C": func(t *testing.T) {
							place, peer := e.role(c.role)
							argv := []string{
								xen.CPeer, c.role, fmt.Sprint(peer), path,
								"pattern", fmt.Sprint(vchanBytes),
							}
							ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
							defer cancel()
							out, err := place.Run(ctx, append(argv, strings.Fields(c.args)...)...)
							require.NoError(t, err)
							require.Contains(t, out, "done")
						},
						"ours": func(t *testing.T) {
							e.goTest(t, "^TestRealCPeer$", c.ours, path,
								"XENTROPYD_VCHAN_CPEER=remote", "XENTROPYD_VCHAN_CLOSE="+closing)
						},
					})
				})
			}
		}
	})
}
