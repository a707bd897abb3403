package xen

import "github.com/xentropyd/xentropyd/lab/internal/debian"

// Version is Xen's in Debian bookworm; the paths inside its packages have it in their names.
const Version = "4.17"

// Packages are what the machine's dom0 and guests are made of.
func (m *Machine) Packages() []debian.Package {
	list := []debian.Package{
		{Name: "linux-image-" + m.Arch, Stands: "linux-image-"},
		{Name: "xen-hypervisor-" + Version + "-" + m.Arch},
		{Name: "xen-utils-" + Version},
	}
	for _, name := range []string{
		"busybox-static", "xen-utils-common", "xenstore-utils",
		"libc6", "libgcc-s1",
		"libxencall1", "libxendevicemodel1", "libxenevtchn1", "libxenforeignmemory1", "libxengnttab1", "libxenhypfs1", "libxenmisc" + Version,
		"libxenstore4", "libxentoolcore1", "libxentoollog1", "libxen-dev",
		"libbz2-1.0", "liblzma5", "liblzo2-2", "libfdt1", "libnl-3-200", "libnl-route-3-200", "libsystemd0", "libuuid1", "libyajl2", "libzstd1", "zlib1g",
	} {
		list = append(list, debian.Package{Name: name})
	}
	return list
}
