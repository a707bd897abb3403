package scenario

import (
	"context"
	"fmt"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/xentropyd/xentropyd/lab/internal/report"
	"github.com/xentropyd/xentropyd/lab/internal/xen"
)

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
	root, packed := bigFile(t, d, "script", imageRoom), bigFile(t, d, "script.img", imageRoom)
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
