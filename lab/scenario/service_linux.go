package scenario

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/host"
	"github.com/xentropyd/xentropyd/host/control"
	"github.com/xentropyd/xentropyd/lab/internal/agent"
	"github.com/xentropyd/xentropyd/lab/internal/report"
	"github.com/xentropyd/xentropyd/lab/internal/xen"
)

// Where the daemon of the lab's dom0 is, and how long it may take to be up and to seed a guest.
const (
	serviceConfig  = "/etc/xentropyd/xentropyd.toml"
	serviceControl = "/run/xentropyd/control.sock"
	servicePatient = 2 * time.Minute
)

// daemon is xentropyd in dom0.
type daemon struct {
	d    *xen.Dom0
	stop context.CancelFunc
	done chan error
}

// service runs xentropyd in dom0 until the test ends, with the defaults of a Xen host and the lines given below [xen].
func service(t *report.T, d *xen.Dom0, lines string) *daemon {
	config := "listen = [\"xen:\"]\ncontrol = \"" + serviceControl + "\"\nseed_file = \"\"\n[xen]\n" + lines
	require.NoError(t, d.Put(t.Context(), serviceConfig, config))
	_, err := d.Run(t.Context(), "mkdir", "-p", "/run/xentropyd")
	require.NoError(t, err)
	s := &daemon{d: d}
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
func (s *daemon) start(t *report.T) {
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	s.stop, s.done = stop, done
	go func() {
		r, err := s.d.Exec(ctx, agent.Command{Argv: []string{"xentropyd", "run", "--config", serviceConfig}})
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
		_, err := s.status(t)
		return err
	})
}

// kill ends the daemon without asking it.
func (s *daemon) kill(t *report.T) {
	_, err := s.d.Run(t.Context(), "kill", "-9", strconv.Itoa(s.pid(t)))
	require.NoError(t, err)
	<-s.done
}

func (s *daemon) pid(t *report.T) int {
	status, err := s.status(t)
	require.NoError(t, err)
	return status.PID
}

// status is what the daemon says of itself. That it is degraded or not seeded is no error.
func (s *daemon) status(t *report.T) (status control.Status, err error) {
	out, err := s.d.Shell(t.Context(), "xentropyd status --json --control "+serviceControl+"; case $? in 3|4) ;; *) exit $?;; esac")
	if err != nil {
		return status, err
	}
	if err := json.Unmarshal([]byte(out), &status); err != nil {
		return status, fmt.Errorf("%w: %s", err, out)
	}
	return status, nil
}

// when is the moment of dom0's clock at which something was, and false if it never was.
func when(status control.Status, a host.Age) (at time.Time, ever bool) {
	ago, ever := a.Ago()
	return status.Time.Add(-ago), ever
}

// kernelSeeded is whether a guest's kernel acknowledged a seed of its generation after a moment of dom0's clock, and when.
func kernelSeeded(status control.Status, name string, since time.Time) (g host.GuestStatus, at time.Time, err error) {
	if g, err = guestNamed(status, name); err != nil {
		return g, at, err
	}
	at, ever := when(status, g.LastKernelAck)
	if !ever || !at.After(since) || g.KernelGeneration != g.CurrentGeneration {
		err = fmt.Errorf("%+v", g)
	}
	return g, at, err
}

// descriptors is how many the daemon has open.
func (s *daemon) descriptors(t *report.T) int {
	out, err := s.d.Shell(t.Context(), fmt.Sprintf("ls /proc/%d/fd | wc -l", s.pid(t)))
	require.NoError(t, err)
	n, err := strconv.Atoi(strings.TrimSpace(out))
	require.NoError(t, err)
	return n
}

// poll asks until there is no error.
func poll(t *report.T, what string, f func() error) {
	ctx, cancel := context.WithTimeout(t.Context(), servicePatient)
	defer cancel()
	for {
		err := f()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("not within %v: %s: %v", servicePatient, what, err)
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// served is what the daemon says of a guest on a carrier.
func served(t *report.T, d *xen.Dom0, name, carrier string) (host.GuestStatus, error) {
	s := daemon{d: d}
	status, err := s.status(t)
	if err != nil {
		return host.GuestStatus{}, err
	}
	return guestOf(status, name, carrier)
}

func guestOf(status control.Status, name, carrier string) (host.GuestStatus, error) {
	for _, g := range status.Server.Guests {
		if g.Name == name && g.Carrier == carrier {
			return g, nil
		}
	}
	return host.GuestStatus{}, fmt.Errorf("no guest %q on %s: %+v", name, carrier, status.Server.Guests)
}

// guestNamed is what the daemon says of a guest, whatever its carrier.
func guestNamed(status control.Status, name string) (host.GuestStatus, error) {
	for _, g := range status.Server.Guests {
		if g.Name == name {
			return g, nil
		}
	}
	return host.GuestStatus{}, fmt.Errorf("no guest %q: %+v", name, status.Server.Guests)
}
