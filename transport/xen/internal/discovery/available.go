package discovery

import (
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/xentropyd/xentropyd/internal/xendev"
	"github.com/xentropyd/xentropyd/transport"
	"github.com/xentropyd/xentropyd/xenstore"
)

// capabilities says control_d in domain 0 (drivers/xen/xenfs/super.c).
const capabilities = "/proc/xen/capabilities"

// Available says what is missing for [Listen], and how to get it.
func Available() error { return available(os.Stat) }

func available(stat func(string) (fs.FileInfo, error)) error {
	var missing []string
	for _, d := range []struct{ path, module string }{
		{xendev.GntdevPath, "xen-gntdev"}, {xendev.EvtchnPath, "xen-evtchn"},
	} {
		if _, err := stat(d.path); err != nil {
			missing = append(missing, fmt.Sprintf("%s (modprobe %s)", d.path, d.module))
		}
	}
	if !anyOf(stat, sockets()) && !anyOf(stat, []string{xenstore.DevicePath}) {
		missing = append(missing, "xenstored (start it; its socket is /run/xenstored/socket) or "+xenstore.DevicePath)
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("%w: missing are %s; they load only under Xen, where /sys/hypervisor/type says xen",
		transport.ErrUnavailable, strings.Join(missing, ", "))
}

// Host says whether this is a Xen host with everything there, so that guests
// are to be looked for without being asked to. In a guest the drivers may be
// there, too; a driver domain's administrator asks for it.
func Host() bool { return isHost(os.Stat, os.ReadFile) }

func isHost(stat func(string) (fs.FileInfo, error), read func(string) ([]byte, error)) bool {
	if available(stat) != nil {
		return false
	}
	caps, _ := read(capabilities)
	return strings.Contains(string(caps), "control_d") || isDom0(read) || anyOf(stat, sockets())
}

// features is what Xen told the kernel that it has and is, 32 bits in
// hexadecimal digits: there from the start of the kernel on, while capabilities
// is mounted by some service (drivers/xen/sys-hypervisor.c).
const features = "/sys/hypervisor/properties/features"

// featureDom0 is XENFEAT_dom0 (xen/include/public/features.h).
const featureDom0 = 11

func isDom0(read func(string) ([]byte, error)) bool {
	b, _ := read(features)
	bits, err := strconv.ParseUint(strings.TrimSpace(string(b)), 16, 64)
	return err == nil && bits>>featureDom0&1 == 1
}

func sockets() []string {
	list := []string{"/run/xenstored/socket", "/var/run/xenstored/socket"}
	if p := os.Getenv("XENSTORED_PATH"); p != "" {
		list = append(list, p)
	}
	return list
}

func anyOf(stat func(string) (fs.FileInfo, error), paths []string) bool {
	for _, p := range paths {
		if _, err := stat(p); err == nil {
			return true
		}
	}
	return false
}
