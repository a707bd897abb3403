package xen

// shellScript greets a person at dom0's console and starts a guest.
const shellScript = `#!/bin/sh
mkdir -p /etc/xen
cat > /etc/xen/guest.cfg <<END
name = "guest"
type = "pv"
kernel = "` + GuestKernel + `"
ramdisk = "` + GuestImage + `"
memory = 256
vcpus = 1
extra = "console=hvc0 quiet panic=1 lab.shell"
END
echo "Starting a guest …"
xl create -q /etc/xen/guest.cfg
xl list
cat <<END
This is dom0 of a Xen in QEMU. xl, xenstore-ls, xentropyd and entropy-guest are here.
  xl console guest    the guest's own shell (^] leaves it)
  /etc/xen/guest.cfg  how it is started: copy it for more
exit, or Ctrl-A x, ends the machine.
END
`
