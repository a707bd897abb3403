package xen

import (
	"fmt"

	"github.com/xentropyd/xentropyd/lab/internal/agent"
	"github.com/xentropyd/xentropyd/lab/internal/debian"
)

// Machine is a kind of machine that the lab boots.
type Machine struct {
	// Name is what tests and logs call it: the daemon's, xenstored (C) or
	// oxenstored (OCaml).
	Name string
	// Arch is Debian's name of the architecture, which is Go's here too.
	Arch string
	// QEMU is the emulator, and CC the compiler of C programs for the machine.
	QEMU, CC string
	// Host is the Debian packages of programs that the host must have.
	Host map[string]string
	// Args are the program's arguments, with paths relative to the directory of
	// the machine's images, for a dom0 whose kernel gets the words given.
	Args func(dom0 string) []string
	// Line is dom0's name of QEMU's second serial port, which belongs to the
	// lab alone.
	Line string
	// Modules are the kernel modules for dom0 and guests.
	Modules []string
}

// Machines are those that the lab has.
var Machines = []*Machine{amd64("xenstored"), amd64("oxenstored")}

func amd64(xenstored string) *Machine {
	return &Machine{
		Name: xenstored,
		Arch: "amd64",
		QEMU: "qemu-system-x86_64",
		CC:   "x86_64-linux-gnu-gcc",
		Host: map[string]string{
			"qemu-system-x86_64": "qemu-system-x86", "x86_64-linux-gnu-gcc": "gcc libc6-dev",
			"xz": "xz-utils", // unpacks the kernel
		},
		Line:    "/dev/ttyS1",
		Modules: []string{"xen-evtchn", "xen-gntdev", "xen-gntalloc", "xen-privcmd", "xenfs"},
		Args: func(dom0 string) []string {
			return []string{
				"-accel", "tcg",
				// With SMAP and SMEP dom0 crashes at its first CPUID (Xen 4.17
				// under QEMU 7.2); with RDTSCP a PVH guest spins.
				"-cpu", "max,-smap,-smep,-rdtscp",
				"-m", "2048", "-smp", "2", "-net", "none",
				"-kernel", "xen",
				// eager-fpu: without it processes crash now and then, with
				// bytes of another domain's process on their stacks. Xen hands
				// the vector registers over lazily on AMD processors, which
				// QEMU 7.2 poses as.
				"-append", "console=com1 com1=115200 dom0_mem=768M,max:768M loglvl=warning spec-ctrl=eager-fpu",
				"-initrd", "vmlinux console=hvc0 quiet panic=1 lab.xenstored=" + xenstored + " " + dom0 + ",dom0.img",
			}
		},
	}
}

// Find finds a machine by its name.
func Find(name string) (*Machine, error) {
	for _, m := range Machines {
		if m.Name == name {
			return m, nil
		}
	}
	return nil, fmt.Errorf("no machine %q: there are %s and %s", name, Machines[0].Name, Machines[1].Name)
}

// Packages are what the machine's dom0 and guests are made of.
func (m *Machine) Packages() []debian.Package {
	list := []debian.Package{{Name: "linux-image-" + m.Arch, Stands: "linux-image-"}}
	for _, name := range []string{
		"xen-hypervisor-" + agent.XenVersion + "-" + m.Arch, "xen-utils-" + agent.XenVersion,
		"busybox-static", "xen-utils-common", "xenstore-utils", "libc6", "libgcc-s1",
		"libxencall1", "libxendevicemodel1", "libxenevtchn1", "libxenforeignmemory1", "libxengnttab1",
		"libxenhypfs1", "libxenmisc" + agent.XenVersion, "libxenstore4", "libxentoolcore1",
		"libxentoollog1", "libxen-dev",
		"libbz2-1.0", "liblzma5", "liblzo2-2", "libfdt1", "libnl-3-200", "libnl-route-3-200", "libsystemd0",
		"libuuid1", "libyajl2", "libzstd1", "zlib1g",
	} {
		list = append(list, debian.Package{Name: name})
	}
	return list
}
