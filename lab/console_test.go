//go:build lab && linux

package lab

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/lab/internal/xen"
)

// consoleScript is the whole guest: busybox and this. The kernel forgets the
// raw mode with the last close, so it is set after opening.
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

// TestConsole: a guest with nothing but busybox and a script gets entropy over
// the PV console by protocol 1.
func TestConsole(t *testing.T) {
	short(t, func(t *testing.T, d *xen.Dom0) {
		const name = "script"
		require.NoError(t, d.Put(t.Context(), "/run/script", consoleScript))
		image := packed(t, d, name, `mv /run/script init && chmod 755 init && mkdir -p bin proc tmp &&
cp /bin/busybox bin/ && for i in sh mount stty dd printf cat gzip wc sleep; do ln -sf busybox bin/$i; done`)
		s := service(t, d, "")
		require.NoError(t, d.Create(t.Context(), xen.GuestConfig{Name: name, Image: image}))
		onFailure(t, d, "xenstore-ls -f | grep -e console -e entropy; xentropyd status --control "+serviceControl+
			"; xl list; xl dmesg | tail -n 20")
		log := prints(t, d, name, "script: took")
		require.Contains(t, log, "script: answer: You may treat everything following this message as entropy.")
		var bytes, small int
		_, after, _ := strings.Cut(log, "script: took ")
		_, err := fmt.Sscanf(after, "%d bytes, %d packed", &bytes, &small)
		require.NoError(t, err, log)
		require.Equal(t, 1024, bytes)
		require.GreaterOrEqual(t, small, bytes, "it can be compressed")
		g := s.guest(t, name)
		require.Equal(t, "console", g.Carrier)
		require.Equal(t, 1, g.Protocol)
		require.True(t, g.Seeded)
		require.GreaterOrEqual(t, g.Bytes, uint64(bytes))
		require.Zero(t, g.Violations)
	})
}

// prints waits until a guest prints something, and gives all that it printed.
func prints(t *testing.T, d *xen.Dom0, name, what string) (log string) {
	poll(t, name+" prints "+what, func() (err error) {
		log, err = d.Run(t.Context(), "cat", xen.ConsoleLog(name))
		if err == nil && !strings.Contains(log, what) {
			err = fmt.Errorf("its console: %s", log)
		}
		return err
	})
	return log
}
