package scenario

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/lab/internal/agent"
	"github.com/xentropyd/xentropyd/lab/internal/leak"
	"github.com/xentropyd/xentropyd/lab/internal/report"
	"github.com/xentropyd/xentropyd/lab/internal/xen"
)

// secrets looks at all of xenstore, again and again, while a guest takes seeds over both carriers, and searches what it saw for them.
func secrets(t *report.T, d *xen.Dom0) {
	const out, end = "/run/store.json", "/run/store.end"
	service(t, d, "[budget]\nbytes = 1048576\n")
	g, err := d.Start(t.Context(), xen.GuestConfig{Name: "secrets", Type: xen.PV})
	require.NoError(t, err)
	_, err = d.Shell(t.Context(), fmt.Sprintf("rm -f %s %s; probe store --out %s --until %s >/run/store.log 2>&1 </dev/null &", out, end, out, end))
	require.NoError(t, err)

	sent := make(leak.Secrets)
	var one []byte
	for _, address := range []string{"xen:", "console:"} {
		var seeds string
		poll(t, "seeds over "+address, func() error { // the console comes when it comes
			r, err := g.Exec(t.Context(), agent.Command{Argv: []string{"probe", "seeds", "--host", address, "--count", "20", "--pause", "50ms"}, Quiet: true})
			if err == nil && (r.Code != 0 || r.Lost > 0) {
				err = fmt.Errorf("status %d, %d pieces lost", r.Code, r.Lost) // and not what it printed
			}
			if err == nil {
				seeds = string(r.Output)
			}
			return err
		})
		n := 0
		for line := range strings.Lines(seeds) {
			if b, err := hex.DecodeString(strings.TrimSpace(line)); err == nil && len(b) >= 32 {
				sent.Add(b)
				one = b
				n++
			}
		}
		require.Equal(t, 20, n)
	}
	// One that is there on purpose, so that the search is seen to find.
	own, err := d.Domid(t.Context(), "secrets")
	require.NoError(t, err)
	planted := fmt.Sprintf("/local/domain/%d/data/planted", own)
	_, err = d.Shell(t.Context(), fmt.Sprintf("xenstore-write %s %s && touch %s", planted, hex.EncodeToString(one[:16]), end))
	require.NoError(t, err)
	poll(t, "the store was looked at", func() error {
		_, err := d.Shell(t.Context(), "grep looks /run/store.log || { cat /run/store.log; exit 1; }")
		return err
	})
	r, err := d.Exec(t.Context(), agent.Command{Argv: []string{"cat", out}, Quiet: true})
	require.NoError(t, err)
	require.Zero(t, r.Code)
	require.Zero(t, r.Lost)
	var seen map[string][][]byte
	require.NoError(t, json.Unmarshal(r.Output, &seen))
	found := make(map[string]bool)
	values := 0
	for path, all := range seen {
		for _, v := range append(all, []byte(path)) {
			values++
			if sent.In(v) {
				found[path] = true
			}
		}
	}
	t.Logf("%d paths and values looked at for 40 seeds", values)
	ours := fmt.Sprintf("/local/domain/%d/", own)
	for _, name := range []string{"data/entropy/instance", "data/vchan/0/entropy/ring-ref", "device/console/1/ring-ref"} {
		require.Contains(t, seen, ours+name, "what stands there was looked at")
	}
	require.Equal(t, map[string]bool{planted: true}, found, "nothing but what was put there to be found")
}
