package earlyboot

import (
	"os"
	"strings"
)

// Xen says whether this is a guest of Xen, domain 0 not being one. It reads at most three small files; /sys must be mounted.
func Xen() bool { return xen("") }

func xen(root string) bool {
	read := func(path string) string {
		b, _ := os.ReadFile(root + path)
		return strings.TrimSpace(string(b))
	}
	if read("/sys/hypervisor/type") != "xen" {
		return false
	}
	// xenfs says it where it is mounted, newer kernels say it in sysfs too.
	return !strings.Contains(read("/proc/xen/capabilities"), "control_d") && read("/sys/hypervisor/start_flags/initdomain") != "1"
}
