//go:build lab && linux

package lab

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/host"
	"github.com/xentropyd/xentropyd/host/control"
	"github.com/xentropyd/xentropyd/lab/internal/xen"
)

// pausedFor is how long a guest stands still.
const pausedFor = time.Minute

// TestRestarts: guests that are rebooted, panic, are destroyed, paused, saved
// and restored, and a killed daemon: seeded again soon. Of the guests one bears
// everything, and one is left alone.
func TestRestarts(t *testing.T) {
	long(t, func(t *testing.T, d *xen.Dom0) {
		s := service(t, d, "[budget]\nbytes = 1048576\n")
		steady := follow(t, d, xen.GuestConfig{Name: "steady"})
		tough := follow(t, d, xen.GuestConfig{
			Name:  "tough",
			Lines: []string{uuid(170), onReboot, `on_crash = "restart"`},
		})
		// A seed is there before the guest's kernel has taken up the console.
		poll(t, "both carriers of both guests are connected", func() error {
			out, err := d.Shell(t.Context(), fmt.Sprintf("ls -l /proc/%d/fd | grep -c /dev/xen/evtchn", s.pid(t)))
			if err == nil && strings.TrimSpace(out) != "4" {
				err = fmt.Errorf("%s event channels are open", out)
			}
			return err
		})
		begin := s.descriptors(t)

		t.Run("reboot", func(t *testing.T) { tough.reboots(t) })
		t.Run("panic", func(t *testing.T) {
			tough.comesAgain(t, func() {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				_, _ = tough.Shell(ctx, "echo c > /proc/sysrq-trigger") // nobody is left to answer
			})
		})
		t.Run("destroyed in mid-stream", func(t *testing.T) {
			shell(t, tough, "probe seeds --host console: --count 1000000 > /dev/null 2>/tmp/stream &")
			s.until(t, "the stream flows", "tough", func(_ control.Status, g host.GuestStatus) bool {
				if g.Seeds < 20 {
					said, _ := tough.Run(t.Context(), "cat", "/tmp/stream")
					t.Logf("%d seeds; %s", g.Seeds, said)
				}
				return g.Seeds >= 20
			})
			destroy(t, d, "tough")
			noZombies(t, d)
			follow(t, d, tough.config)
		})
		t.Run("paused", func(t *testing.T) {
			run(t, d, "xl", "pause", "tough")
			time.Sleep(pausedFor)
			s.seededSince(t, tough, unpause(t, d, "tough"), "after it runs on")
		})
		t.Run("saved and restored", func(t *testing.T) {
			before := s.guest(t, "tough")
			after, _ := s.seededSince(t, tough, tough.restored(t), "after it was restored")
			require.Equal(t, before.ID, after.ID)
			require.Greater(t, after.KernelGeneration, before.KernelGeneration, "a new generation")
		})
		t.Run("others noticed nothing", func(t *testing.T) {
			g := s.guest(t, "steady")
			require.Zero(t, g.Reconnects)
			require.Zero(t, g.Violations)
			require.Equal(t, g.Seeds, g.KernelAcknowledged)
			said := steady.says(t)
			require.Zero(t, said.Guest.Host.Reconnects)
			require.True(t, said.Guest.Host.Connected)
		})
		t.Run("daemon killed", func(t *testing.T) {
			s.kill(t)
			time.Sleep(2 * time.Second)
			s.start(t)
			status := s.status(t)
			started, _ := when(status, status.Uptime)
			for _, f := range []follower{steady, tough} {
				s.seededSince(t, f, started, "after the daemon's new start")
				said := f.says(t)
				require.Equal(t, status.Server.Instance, said.Guest.Host.Instance)
			}
		})
		t.Run("nothing leaks", func(t *testing.T) {
			noZombies(t, d)
			poll(t, "descriptors as at the beginning", func() error {
				if n := s.descriptors(t); n != begin {
					list, _ := d.Shell(t.Context(), fmt.Sprintf("ls -l /proc/%d/fd", s.pid(t)))
					return fmt.Errorf("%d, were %d:\n%s", n, begin, list)
				}
				return nil
			})
			want := []string{fmt.Sprint(domid(t, d, "steady")), fmt.Sprint(domid(t, d, "tough"))}
			require.ElementsMatch(t, want, backends(t, d))
		})
	})
}

// backends are the domains for which xentropyd has a console's back end.
func backends(t *testing.T, d *xen.Dom0) []string {
	return strings.Fields(run(t, d, "xenstore-list", "/local/domain/0/backend/entropy"))
}
