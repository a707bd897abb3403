package scenario

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/host"
	"github.com/xentropyd/xentropyd/lab/internal/report"
	"github.com/xentropyd/xentropyd/lab/internal/xen"
)

// pausedFor is how long a guest stands still.
const pausedFor = time.Minute

// restarts: three guests, of which one bears everything, one is there when the daemon is, and one is left alone.
func restarts(t *report.T, d *xen.Dom0) {
	s := service(t, d, "[budget]\nbytes = 1048576\n")
	steady := follow(t, d, xen.GuestConfig{Name: "steady"})
	tough := follow(t, d, xen.GuestConfig{Name: "tough", Lines: []string{
		`uuid = "00000000-0000-4000-8000-0000000000aa"`, `on_reboot = "restart"`, `on_crash = "restart"`,
	}})
	// A seed is there before the guest's kernel has taken up the console.
	poll(t, "both carriers of both guests are connected", func() error {
		out, err := d.Shell(t.Context(), fmt.Sprintf("ls -l /proc/%d/fd | grep -c /dev/xen/evtchn", s.pid(t)))
		if err == nil && strings.TrimSpace(out) != "4" {
			err = fmt.Errorf("%s event channels are open", out)
		}
		return err
	})
	begin := s.descriptors(t)

	t.Run("reboot", func(t *report.T) {
		comeAgain(t, d, tough, func() {
			_, err := d.Run(t.Context(), "xl", "reboot", "-F", "tough")
			require.NoError(t, err)
		})
	})
	t.Run("panic", func(t *report.T) {
		comeAgain(t, d, tough, func() {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			_, _ = tough.Shell(ctx, "echo c > /proc/sysrq-trigger") // nobody is left to answer
		})
	})
	t.Run("destroyed in mid-stream", func(t *report.T) {
		_, err := tough.Shell(t.Context(), "probe seeds --host console: --count 1000000 > /dev/null 2>/tmp/stream &")
		require.NoError(t, err)
		poll(t, "the stream flows", func() error {
			status, err := s.status(t)
			if err != nil {
				return err
			}
			g, err := guestNamed(status, "tough")
			if err == nil && g.Seeds < 20 {
				said, _ := tough.Run(t.Context(), "cat", "/tmp/stream")
				err = fmt.Errorf("%d seeds; %s", g.Seeds, said)
			}
			return err
		})
		require.NoError(t, d.Destroy(t.Context(), "tough"))
		noZombies(t, d)
		follow(t, d, tough.config)
	})
	t.Run("paused", func(t *report.T) {
		_, err := d.Run(t.Context(), "xl", "pause", "tough")
		require.NoError(t, err)
		time.Sleep(pausedFor)
		since, err := d.Unpause(t.Context(), "tough")
		require.NoError(t, err)
		s.seededSince(t, tough, since, "after it runs on")
	})
	t.Run("saved and restored", func(t *report.T) {
		before := named(t, s, "tough")
		file := saved(t, d, "tough")
		noZombies(t, d)
		require.NoError(t, d.Restore(t.Context(), tough.config, file))
		since, err := d.Unpause(t.Context(), "tough")
		require.NoError(t, err)
		time.Sleep(2 * time.Second) // to ask would cost it time
		after, _ := s.seededSince(t, tough, since, "after it was restored")
		require.Equal(t, before.ID, after.ID)
		require.Greater(t, after.KernelGeneration, before.KernelGeneration, "a new generation")
	})
	t.Run("others noticed nothing", func(t *report.T) {
		g := named(t, s, "steady")
		require.Zero(t, g.Reconnects)
		require.Zero(t, g.Violations)
		require.Equal(t, g.Seeds, g.KernelAcknowledged)
		said, err := steady.says(t)
		require.NoError(t, err)
		require.Zero(t, said.Guest.Host.Reconnects)
		require.True(t, said.Guest.Host.Connected)
	})
	t.Run("daemon killed", func(t *report.T) {
		s.kill(t)
		time.Sleep(2 * time.Second)
		s.start(t)
		status, err := s.status(t)
		require.NoError(t, err)
		started, _ := when(status, status.Uptime)
		for _, f := range []follower{steady, tough} {
			s.seededSince(t, f, started, "after the daemon's new start")
			said, err := f.says(t)
			require.NoError(t, err)
			require.Equal(t, status.Server.Instance, said.Guest.Host.Instance)
		}
	})
	t.Run("nothing leaks", func(t *report.T) {
		noZombies(t, d)
		poll(t, "descriptors as at the beginning", func() error {
			if n := s.descriptors(t); n != begin {
				list, _ := d.Shell(t.Context(), fmt.Sprintf("ls -l /proc/%d/fd", s.pid(t)))
				return fmt.Errorf("%d, were %d:\n%s", n, begin, list)
			}
			return nil
		})
		out, err := d.Run(t.Context(), "xenstore-list", "/local/domain/0/backend/entropy")
		require.NoError(t, err)
		var want []string
		for _, name := range []string{"steady", "tough"} {
			id, err := d.Domid(t.Context(), name)
			require.NoError(t, err)
			want = append(want, fmt.Sprint(id))
		}
		require.ElementsMatch(t, want, strings.Fields(out))
	})
}

// comeAgain makes a guest go and come by itself, under another domain number, and sees it seeded.
func comeAgain(t *report.T, d *xen.Dom0, f follower, f1 func()) {
	old, err := d.Domid(t.Context(), f.config.Name)
	require.NoError(t, err)
	f1()
	poll(t, "it comes again", func() error {
		id, err := d.Domid(t.Context(), f.config.Name)
		if err == nil && id == old {
			err = fmt.Errorf("it is domain %d still", id)
		}
		return err
	})
	require.NoError(t, d.Ready(t.Context(), f.config.Name))
	f.seededFromStart(t)
}

// named is what the daemon says of a guest now.
func named(t *report.T, s *daemon, name string) host.GuestStatus {
	status, err := s.status(t)
	require.NoError(t, err)
	g, err := guestNamed(status, name)
	require.NoError(t, err)
	return g
}

// noZombies waits until no domain is left of which somebody still has a page.
func noZombies(t *report.T, d *xen.Dom0) {
	poll(t, "no domain that is dead and still there", func() error {
		out, err := d.Run(t.Context(), "xl", "list")
		if err == nil && strings.Contains(out, "(null)") {
			err = fmt.Errorf("%s", out)
		}
		return err
	})
}
