package xen

import (
	"os"
	"os/exec"

	"github.com/xentropyd/xentropyd/lab/internal/qemu"
)

// shellGuest has a shell on its console instead of the lab's agent.
var shellGuest = GuestConfig{Name: "guest", Type: PV, Image: GuestImage, Words: "lab.shell lab.follow"}

// shellScript greets a person at dom0's console and starts xentropyd and a
// guest that follows it.
const shellScript = `#!/bin/sh
echo "Starting xentropyd …"
mkdir -p /run/xentropyd /var/lib/xentropyd
xentropyd run >/var/log/xentropyd.log 2>&1 &
for i in 1 2 3 4 5 6 7 8 9 10; do xentropyd status >/dev/null 2>&1 && break; sleep 1; done
echo "Starting a guest …"
xl create -q /etc/xen/guest.cfg
xl list
cat <<END
This is dom0 of a Xen in QEMU. xl, xenstore-ls, xentropyd and entropy-guest are here;
xentropyd runs, and entropy-guest in the guest.
  xentropyd status    who is served (the guest needs some seconds to boot); the log
                      is /var/log/xentropyd.log
  xl console guest    the guest's own shell (^] leaves it)
  /etc/xen/guest.cfg  how it is started: copy it for more
exit, or Ctrl-A x, ends the machine.
END
`

// Shell boots a machine with its console on the terminal, and returns when the
// person there has ended it.
func Shell(m *Machine, images string) error {
	cmd := exec.Command(m.QEMU, append(m.Args("lab.shell"), "-display", "none", "-no-reboot",
		"-serial", "mon:stdio")...)
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = images, os.Stdin, os.Stdout, os.Stderr
	p, err := qemu.Start(cmd)
	if err != nil {
		return err
	}
	<-p.Done()
	return p.Err()
}
