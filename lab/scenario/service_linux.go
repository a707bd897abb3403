package scenario

import (
	"context"
	"encoding/json"
	"fmt"
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

// service runs xentropyd in dom0 until the test ends, with the defaults of a Xen host and the lines given below [xen].
func service(t *report.T, d *xen.Dom0, lines string) {
	config := "listen = [\"xen:\"]\ncontrol = \"" + serviceControl + "\"\nseed_file = \"\"\n[xen]\n" + lines
	require.NoError(t, d.Put(t.Context(), serviceConfig, config))
	_, err := d.Run(t.Context(), "mkdir", "-p", "/run/xentropyd")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		r, err := d.Exec(ctx, agent.Command{Argv: []string{"xentropyd", "run", "--config", serviceConfig}})
		if err == nil {
			err = fmt.Errorf("it ended with status %d: %s", r.Code, r.Output)
		}
		done <- err
	}()
	t.Cleanup(func() {
		stop()
		err := <-done
		if t.Failed() {
			t.Logf("xentropyd: %v", err)
		}
	})
	poll(t, "xentropyd runs", func() error {
		select {
		case err := <-done:
			done <- err
			t.Fatalf("xentropyd: %v", err)
		default:
		}
		_, err := d.Run(t.Context(), "xentropyd", "status", "--control", serviceControl)
		return err
	})
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
	out, err := d.Run(t.Context(), "xentropyd", "status", "--control", serviceControl, "--json")
	if err != nil {
		return host.GuestStatus{}, err
	}
	var status control.Status
	if err := json.Unmarshal([]byte(out), &status); err != nil {
		return host.GuestStatus{}, fmt.Errorf("%w: %s", err, out)
	}
	for _, g := range status.Server.Guests {
		if g.Name == name && g.Carrier == carrier {
			return g, nil
		}
	}
	return host.GuestStatus{}, fmt.Errorf("no guest %q on %s: %s", name, carrier, out)
}

// seeds: the last one is the first that has come again, under another domain number.
func seeds(t *report.T, d *xen.Dom0) {
	service(t, d, "console = false\n")
	times := make(map[string]uint64)
	for i, name := range []string{"first", "lab gäst", "third", "first"} {
		if times[name]++; times[name] > 1 {
			require.NoError(t, d.Destroy(t.Context(), name))
		}
		uuid := fmt.Sprintf("uuid = \"00000000-0000-4000-8000-%012d\"", i%3)
		g, err := d.Start(t.Context(), xen.GuestConfig{Name: name, Type: xen.PV, Lines: []string{uuid}})
		require.NoError(t, err)
		begin := time.Now()
		out, err := g.Run(t.Context(), "entropy-guest", "run", "--once", "--wait", servicePatient.String())
		require.NoError(t, err)
		t.Logf("%s: seeded in %v with the lab's own way there and back\n%s", name, time.Since(begin).Round(10*time.Millisecond), out)
		avail, err := g.Run(t.Context(), "cat", "/proc/sys/kernel/random/entropy_avail")
		require.NoError(t, err)
		require.Equal(t, "256", strings.TrimSpace(avail))
		poll(t, "the daemon knows of it", func() error {
			s, err := served(t, d, name, "vchan")
			if err == nil && (s.Protocol != 2 || !s.Seeded || s.KernelAcknowledged < times[name] || s.KernelCreditedBits < 256*times[name] || s.Violations > 0) {
				err = fmt.Errorf("%+v", s)
			}
			return err
		})
	}
}

// consoleScript is the whole guest: busybox and this. The kernel forgets the raw mode with the last close, so it is set after opening.
const consoleScript = `#!/bin/sh
mount -t devtmpfs dev /dev
mount -t proc proc /proc
echo "script: begins"
until (exec 3<>/dev/hvc1) 2>/dev/null; do sleep 1; done
exec 3<>/dev/hvc1
stty raw -echo <&3
printf 'Hello, may I have some entropy?\r\n' >&3
answer=$(dd bs=1 count=61 <&3 2>/dev/null)
echo "script: answer: $answer"
dd bs=1 count=1024 <&3 2>/dev/null >/tmp/seed
cat /tmp/seed >/dev/urandom
echo "script: took $(wc -c </tmp/seed) bytes, $(gzip -c /tmp/seed | wc -c) packed"
while :; do sleep 1000; done
`

// console packs the guest's image in dom0: nothing but busybox and the script.
func console(t *report.T, d *xen.Dom0) {
	const root, packed = "/tmp/script", "/tmp/script.img"
	require.NoError(t, d.Put(t.Context(), root+"/init", consoleScript))
	_, err := d.Shell(t.Context(), "cd "+root+` && chmod 755 init && mkdir -p bin dev proc tmp && cp /bin/busybox bin/ &&
for i in sh mount stty dd printf cat gzip wc sleep; do ln -sf busybox bin/$i; done && mknod dev/console c 5 1 &&
find . | cpio -H newc -o > `+packed)
	require.NoError(t, err)
	service(t, d, "")
	const name = "script"
	require.NoError(t, d.Create(t.Context(), xen.GuestConfig{Name: name, Type: xen.PV, Image: packed}))
	t.Cleanup(func() {
		if t.Failed() {
			out, err := d.Shell(context.WithoutCancel(t.Context()), "xenstore-ls -f | grep -e console -e entropy; xentropyd status --control "+serviceControl+"; xl list; xl dmesg | tail -n 20")
			t.Logf("dom0 (%v):\n%s", err, out)
		}
	})
	var log string
	poll(t, "the script has its entropy", func() error {
		var err error
		if log, err = d.Run(t.Context(), "cat", xen.ConsoleLog(name)); err == nil && !strings.Contains(log, "script: took") {
			err = fmt.Errorf("its console: %s", log)
		}
		return err
	})
	require.Contains(t, log, "script: answer: You may treat everything following this message as entropy.")
	var bytes, small int
	_, after, _ := strings.Cut(log, "script: took ")
	_, err = fmt.Sscanf(after, "%d bytes, %d packed", &bytes, &small)
	require.NoError(t, err, log)
	require.Equal(t, 1024, bytes)
	require.GreaterOrEqual(t, small, bytes, "it can be compressed")
	s, err := served(t, d, name, "console")
	require.NoError(t, err)
	require.Equal(t, 1, s.Protocol)
	require.True(t, s.Seeded)
	require.GreaterOrEqual(t, s.Bytes, uint64(bytes))
	require.Zero(t, s.Violations)
}
