package scenario

import (
	"context"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/lab/internal/report"
	"github.com/xentropyd/xentropyd/lab/internal/xen"
)

// restores: one guest is saved and restored again and again, while each CPU of the lab's machine has a busy loop to run beside the emulator.
// What its entropy-guest bears is then shown to be no matter of who is faster. At the end its service is restarted, as an update does it.
func restores(t *report.T, d *xen.Dom0) {
	s := service(t, d, "[budget]\nbytes = 1048576\n")
	f := follow(t, d, xen.GuestConfig{Name: "restored", Lines: []string{`uuid = "00000000-0000-4000-8000-0000000000ab"`}})
	defer busy(t, runtime.NumCPU())()
	var took times
	for i := range d.Restores {
		t.Run(fmt.Sprintf("restore %d", i+1), func(t *report.T) {
			before := named(t, s, f.config.Name)
			file := saved(t, d, f.config.Name)
			noZombies(t, d)
			require.NoError(t, d.Restore(t.Context(), f.config, file))
			since, err := d.Unpause(t.Context(), f.config.Name)
			require.NoError(t, err)
			time.Sleep(2 * time.Second) // to ask would cost it time
			after, later := s.seededSince(t, f, since, "after it was restored")
			took = append(took, later)
			require.Greater(t, after.KernelGeneration, before.KernelGeneration, "a new generation")
			noBugs(t, f)
		})
		if t.Failed() {
			break
		}
	}
	if len(took) > 0 {
		t.Logf("%d restores with %d busy loops beside, seeded: %v", len(took), runtime.NumCPU(), took)
	}
	if t.Failed() {
		return
	}
	t.Run("service restarted", func(t *report.T) {
		// The other one holds what must stay open.
		old, err := f.Shell(t.Context(), "for p in $(pidof entropy-guest); do grep -q ^@ /proc/$p/cmdline || echo $p; done")
		require.NoError(t, err)
		old = strings.TrimSpace(old)
		open, err := f.Shell(t.Context(), "for p in $(pidof entropy-guest); do tr '\\0' ' ' </proc/$p/cmdline; ls -l /proc/$p/fd; done; cat /run/entropy-guest.log; dmesg | grep -v xencons | tail -n 5")
		require.NoError(t, err)
		t.Logf("processes and what they have open:\n%s", open)
		before := named(t, s, f.config.Name)
		_, err = f.Shell(t.Context(), "kill -TERM "+old)
		require.NoError(t, err)
		poll(t, "the old process is gone", func() error {
			out, err := f.Shell(t.Context(), "cat /proc/"+old+"/stat 2>/dev/null; cat /proc/"+old+"/task/*/stack 2>/dev/null; true")
			if err == nil && out != "" {
				err = fmt.Errorf("it is there: %s", out)
			}
			return err
		})
		_, err = f.Shell(t.Context(), "entropy-guest run >>/run/entropy-guest.log 2>&1 </dev/null &")
		require.NoError(t, err)
		poll(t, "the new process has seeded the kernel", func() error {
			g := named(t, s, f.config.Name)
			if g.KernelAcknowledged == before.KernelAcknowledged {
				log, _ := f.Run(t.Context(), "tail", "-n", "5", "/run/entropy-guest.log")
				return fmt.Errorf("%+v; its log's end:\n%s", g, log)
			}
			return nil
		})
		noBugs(t, f)
	})
}

// noBugs looks for what a guest's kernel says when a process has unbound what is none any more. That it warns of evtchn_put is its console driver's doing,
// which gives back at each restore a port that is none any more, or ours (xencons_disconnect_backend, drivers/tty/hvc/hvc_xen.c).
func noBugs(t *report.T, f follower) {
	found, err := f.Shell(t.Context(), "dmesg | grep -A 40 -e 'kernel BUG' -e Oops -e 'reboot is needed' || true")
	require.NoError(t, err)
	require.Empty(t, found, "the kernel of %s says", f)
}

// busy has loops run on the lab's own machine until stop is called.
func busy(t *report.T, n int) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var loops []*exec.Cmd
	for range n {
		c := exec.CommandContext(ctx, "/bin/sh", "-c", "while :; do :; done")
		c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		require.NoError(t, c.Start())
		loops = append(loops, c)
	}
	return func() {
		cancel()
		for _, c := range loops {
			_ = c.Wait()
		}
	}
}
