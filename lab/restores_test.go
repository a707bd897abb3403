//go:build lab && linux

package lab

import (
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/host"
	"github.com/xentropyd/xentropyd/host/control"
	"github.com/xentropyd/xentropyd/lab/internal/xen"
)

// TestRestores: one guest is saved and restored again and again, while each CPU
// of the lab's machine has a busy loop to run beside the emulator. What its
// entropy-guest bears is then shown to be no matter of who is faster. At the
// end its service is restarted, as an update does it.
func TestRestores(t *testing.T) {
	once(t, func(t *testing.T, d *xen.Dom0) {
		s := service(t, d, "[budget]\nbytes = 1048576\n")
		f := follow(t, d, xen.GuestConfig{Name: "restored", Lines: []string{uuid(171)}})
		busy(t, runtime.NumCPU())
		var took times
		for i := range int(restores) {
			t.Run(fmt.Sprintf("restore %d", i+1), func(t *testing.T) {
				before := s.guest(t, f.config.Name)
				after, later := s.seededSince(t, f, f.restored(t), "after it was restored")
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
		if !t.Failed() {
			t.Run("service restarted", func(t *testing.T) { serviceRestarted(t, s, f) })
		}
	})
}

func serviceRestarted(t *testing.T, s *daemon, f follower) {
	// The other one holds what must stay open.
	old := strings.TrimSpace(shell(t, f,
		"for p in $(pidof entropy-guest); do grep -q ^@ /proc/$p/cmdline || echo $p; done"))
	t.Logf("processes and what they have open:\n%s", shell(t, f,
		`for p in $(pidof entropy-guest); do tr '\0' ' ' </proc/$p/cmdline; ls -l /proc/$p/fd; done
cat /run/entropy-guest.log; dmesg | grep -v xencons | tail -n 5`))
	before := s.guest(t, f.config.Name)
	shell(t, f, "kill -TERM "+old)
	poll(t, "the old process is gone", func() error {
		out, err := f.Shell(t.Context(), "cat /proc/"+old+"/stat /proc/"+old+"/task/*/stack 2>/dev/null; true")
		if err == nil && out != "" {
			err = fmt.Errorf("it is there: %s", out)
		}
		return err
	})
	shell(t, f, "entropy-guest run >>/run/entropy-guest.log 2>&1 </dev/null &")
	s.until(t, "the new process has seeded the kernel", f.config.Name, func(_ control.Status, g host.GuestStatus) bool {
		if g.KernelAcknowledged > before.KernelAcknowledged {
			return true
		}
		log, _ := f.Run(t.Context(), "tail", "-n", "5", "/run/entropy-guest.log")
		t.Logf("its log's end:\n%s", log)
		return false
	})
	noBugs(t, f)
}

// noBugs looks for what a guest's kernel says when a process has unbound what
// is none any more. That it warns of evtchn_put is its console driver's doing,
// which gives back at each restore a port that is none any more, or ours
// (xencons_disconnect_backend, drivers/tty/hvc/hvc_xen.c).
func noBugs(t *testing.T, f follower) {
	found := shell(t, f, "dmesg | grep -A 40 -e 'kernel BUG' -e Oops -e 'reboot is needed' || true")
	require.Empty(t, found, "the kernel of %s says", f)
}

// busy has loops run on the lab's own machine until the test ends.
func busy(t *testing.T, n int) {
	for range n {
		c := exec.CommandContext(t.Context(), "/bin/sh", "-c", "while :; do :; done")
		c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		require.NoError(t, c.Start())
		t.Cleanup(func() { _ = c.Wait() }) // the context has ended it
	}
}
