//go:build lab && linux

package lab

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/lab/internal/agent"
	"github.com/xentropyd/xentropyd/lab/internal/xen"
)

// TestSecrets: nothing that was sent to a guest is ever seen in xenstore. All
// of it is read again and again while a guest takes seeds over both carriers,
// and then searched for them.
func TestSecrets(t *testing.T) {
	long(t, func(t *testing.T, d *xen.Dom0) {
		const out, end = "/run/store.json", "/run/store.end"
		service(t, d, "[budget]\nbytes = 1048576\n")
		g := start(t, d, xen.GuestConfig{Name: "secrets"})
		shell(t, d, "rm -f "+out+" "+end+"; probe store --out "+out+" --until "+end+" >/run/store.log 2>&1 </dev/null &")

		sent := make(secrets)
		var one []byte
		for _, address := range []string{"xen:", "console:"} {
			var seeds string
			poll(t, "seeds over "+address, func() (err error) { // the console comes when it comes
				seeds, err = g.Do(t.Context(), agent.Command{
					Argv: []string{
						"probe", "seeds", "--host", address, "--count", "20",
						"--pause", "50ms",
					}, Quiet: true,
				})
				return err
			})
			n := 0
			for line := range strings.Lines(seeds) {
				if b, err := hex.DecodeString(strings.TrimSpace(line)); err == nil && len(b) >= 32 {
					sent.add(b)
					one = b
					n++
				}
			}
			require.Equal(t, 20, n)
		}
		// One that is there on purpose, so that the search is seen to find.
		ours := fmt.Sprintf("/local/domain/%d/", domid(t, d, "secrets"))
		planted := ours + "data/planted"
		run(t, d, "xenstore-write", planted, hex.EncodeToString(one[:16]))
		run(t, d, "touch", end)
		poll(t, "the store was looked at", func() error {
			_, err := d.Shell(t.Context(), "grep looks /run/store.log || { cat /run/store.log; exit 1; }")
			return err
		})
		text, err := d.Do(t.Context(), agent.Command{Argv: []string{"cat", out}, Quiet: true})
		require.NoError(t, err)
		var seen map[string][][]byte
		require.NoError(t, json.Unmarshal([]byte(text), &seen))
		found := make(map[string]bool)
		values := 0
		for path, all := range seen {
			for _, v := range append(all, []byte(path)) {
				values++
				if sent.in(v) {
					found[path] = true
				}
			}
		}
		t.Logf("%d paths and values looked at for 40 seeds", values)
		for _, name := range []string{
			"data/entropy/instance", "data/vchan/0/entropy/ring-ref",
			"device/console/1/ring-ref",
		} {
			require.Contains(t, seen, ours+name, "what stands there was looked at")
		}
		require.Equal(t, map[string]bool{planted: true}, found, "nothing but what was put there to be found")
	})
}
