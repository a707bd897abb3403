//go:build lab && linux

package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/host"
	"github.com/xentropyd/xentropyd/host/control"
	"github.com/xentropyd/xentropyd/lab/internal/agent"
	"github.com/xentropyd/xentropyd/lab/internal/xen"
)

// Where the daemon of the lab's dom0 is.
const (
	serviceConfig  = "/etc/xentropyd/xentropyd.toml"
	serviceControl = "/run/xentropyd/control.sock"
)

// daemon is xentropyd in dom0.
type daemon struct {
	d    *xen.Dom0
	argv []string
	ctx  context.Context // of the scenario, until its cleaning up is done
	stop context.CancelFunc
	done chan error
}

// service runs xentropyd in dom0 until the test ends, with the defaults of a
// Xen host and the lines given below [xen], by a command of the test's own if
// argv is given.
func service(t *testing.T, d *xen.Dom0, lines string, argv ...string) *daemon {
	if argv == nil {
		argv = []string{"xentropyd", "run", "--config", serviceConfig}
	}
	config := "listen = [\"xen:\"]\ncontrol = \"" + serviceControl + "\"\nseed_file = \"\"\n[xen]\n" + lines
	require.NoError(t, d.Put(t.Context(), serviceConfig, config))
	run(t, d, "mkdir", "-p", "/run/xentropyd")
	s := &daemon{d: d, argv: argv, ctx: context.WithoutCancel(t.Context())}
	s.start(t)
	t.Cleanup(func() {
		s.stop()
		err := <-s.done
		if t.Failed() {
			t.Logf("xentropyd: %v", err)
		}
	})
	return s
}

// start returns when the daemon answers.
func (s *daemon) start(t *testing.T) {
	ctx, stop := context.WithCancel(s.ctx)
	done := make(chan error, 1)
	s.stop, s.done = stop, done
	go func() {
		r, err := s.d.Exec(ctx, agent.Command{Argv: s.argv})
		if err == nil {
			err = fmt.Errorf("it ended with status %d: %s", r.Code, r.Output)
		}
		done <- err
	}()
	poll(t, "xentropyd runs", func() error {
		select {
		case err := <-done:
			done <- err
			t.Fatalf("xentropyd: %v", err)
		default:
		}
		_, err := s.ask()
		return err
	})
}

// kill ends the daemon without asking it.
func (s *daemon) kill(t *testing.T) {
	run(t, s.d, "kill", "-9", fmt.Sprint(s.pid(t)))
	<-s.done
}

func (s *daemon) pid(t *testing.T) int { return s.status(t).PID }

// ask gives what the daemon says of itself. That it is degraded or not seeded
// is no error.
func (s *daemon) ask() (status control.Status, err error) {
	out, err := s.d.Shell(s.ctx,
		"xentropyd status --json --control "+serviceControl+"; case $? in 3|4) ;; *) exit $?;; esac")
	if err != nil {
		return status, err
	}
	if err := json.Unmarshal([]byte(out), &status); err != nil {
		return status, fmt.Errorf("%w: %s", err, out)
	}
	return status, nil
}

func (s *daemon) status(t *testing.T) control.Status {
	t.Helper()
	status, err := s.ask()
	require.NoError(t, err)
	return status
}

// when is the moment of dom0's clock at which something was, and false if it
// never was.
func when(status control.Status, a host.Age) (at time.Time, ever bool) {
	ago, ever := a.Ago()
	return status.Time.Add(-ago), ever
}

// until waits until the daemon says of a guest what is wanted, and gives it.
func (s *daemon) until(
	t *testing.T, what, name string, wanted func(control.Status, host.GuestStatus) bool,
) (g host.GuestStatus) {
	t.Helper()
	poll(t, what, func() error {
		status, err := s.ask()
		if err != nil {
			return err
		}
		for _, g = range status.Server.Guests {
			if g.Name != name {
				continue
			}
			if !wanted(status, g) {
				return fmt.Errorf("%+v", g)
			}
			return nil
		}
		return fmt.Errorf("no guest %q: %+v", name, status.Server.Guests)
	})
	return g
}

// guest is what the daemon says of a guest as soon as it knows it.
func (s *daemon) guest(t *testing.T, name string) host.GuestStatus {
	t.Helper()
	return s.until(t, "the daemon knows "+name, name, func(control.Status, host.GuestStatus) bool { return true })
}

// acknowledged waits until a guest's kernel has acknowledged a seed of its
// generation after a moment of dom0's clock; at is when.
func (s *daemon) acknowledged(t *testing.T, name string, since time.Time) (g host.GuestStatus, at time.Time) {
	t.Helper()
	g = s.until(t, name+" is seeded", name, func(status control.Status, g host.GuestStatus) (ever bool) {
		at, ever = when(status, g.LastKernelAck)
		return ever && at.After(since) && g.KernelGeneration == g.CurrentGeneration
	})
	require.Zero(t, g.Violations)
	require.Zero(t, g.Failures)
	return g, at
}

// descriptors is how many the daemon has open.
func (s *daemon) descriptors(t *testing.T) int {
	return number[int](t, s.d, "/bin/sh", "-c", fmt.Sprintf("ls /proc/%d/fd | wc -l", s.pid(t)))
}

// usage is what a process has used and holds.
type usage struct {
	cpu    time.Duration
	memory int // KiB
	files  int
	lines  int // of its log in a file, if it has one
	events int // interrupts of the event channel that had most, of those that are open
	wakes  int // times that its threads went to sleep
}

// serviceLog is the log of a daemon that writes it to a file.
const serviceLog = "/var/log/xentropyd.log"

// usage asks what the daemon has used, its pid being known. It fails when there
// is none any more. utime and stime are fields 14 and 15 of stat, and 12 and 13
// behind the name (proc_pid_stat(5)).
func (s *daemon) usage(t *testing.T, pid int) (u usage) {
	out, err := s.d.Shell(t.Context(), fmt.Sprintf(`cd /proc/%d && sed 's/.*) //' stat | awk '{print $12+$13}' &&
awk '/^VmRSS:/{print $2}' status && ls fd | wc -l && cat %s 2>/dev/null | wc -l
awk '/evtchn:xentropyd/{n=$2+$3; if(n>m)m=n} END{print m+0}' /proc/interrupts
cat task/*/status | awk '/^voluntary/{n+=$2} END{print n+0}'`, pid, serviceLog))
	require.NoError(t, err, "xentropyd has ended")
	var ticks time.Duration
	_, err = fmt.Sscan(out, (*int64)(&ticks), &u.memory, &u.files, &u.lines, &u.events, &u.wakes)
	require.NoError(t, err, "xentropyd has ended: %q", out)
	u.cpu = ticks * tick
	return u
}

// tick is the unit of what the kernel says of CPU times (USER_HZ).
const tick = time.Second / 100
