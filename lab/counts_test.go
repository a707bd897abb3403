//go:build lab && linux

package lab

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/lab/internal/xen"
)

// grantLine is an entry of what Xen prints on the debug key g: reference,
// mapping domain, frame, pins, and the shared entry.
var grantLine = regexp.MustCompile(`(?m)^.*\[0x[0-9a-f]+\] +\d+ 0x[0-9a-f]+ 0x[0-9a-f]+`)

// countXen asks what the hypervisor has of domains: event channels, and grants
// that are mapped.
func countXen(t *testing.T, d *xen.Dom0, domids ...uint16) map[string]int {
	counts := make(map[string]int)
	for _, id := range domids {
		counts[fmt.Sprintf("event channels of domain %d", id)] = strings.Count(run(t, d,
			"lsevtchn", fmt.Sprint(id)), "\n")
	}
	shell(t, d, "xl dmesg -c >/dev/null; xl debug-keys g")
	out := run(t, d, "xl", "dmesg")
	require.Contains(t, out, "grant-table for remote", "what Xen prints of grants")
	counts["mapped grants"] = len(grantLine.FindAllString(out, -1))
	return counts
}

// sameCounts waits until the hypervisor has no more than before.
func sameCounts(t *testing.T, d *xen.Dom0, before map[string]int, domids ...uint16) {
	poll(t, "Xen's counts are where they began", func() error {
		if now := countXen(t, d, domids...); fmt.Sprint(now) != fmt.Sprint(before) {
			return fmt.Errorf("%v, were %v", now, before)
		}
		return nil
	})
	t.Logf("Xen's counts, before and after: %v", before)
}

// noZombies waits until no domain is left of which somebody still has a page.
func noZombies(t *testing.T, d *xen.Dom0) {
	poll(t, "no domain that is dead and still there", func() error {
		out, err := d.Run(t.Context(), "xl", "list")
		if err == nil && strings.Contains(out, "(null)") {
			err = fmt.Errorf("%s", out)
		}
		return err
	})
}
