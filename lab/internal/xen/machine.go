package xen

// Machine is a kind of machine that the lab boots.
type Machine struct {
	Name string
	// Arch is Debian's name of the architecture, which is Go's here too.
	Arch string
	// Xenstored is the daemon that dom0 runs: xenstored (C) or oxenstored (OCaml).
	Xenstored string
	// QEMU is the program, and Package the Debian package that has it.
	QEMU, Package string
	// CC compiles C programs for the machine: Debian's name of the compiler in CCPackage.
	CC, CCPackage string
	// Args are the program's arguments, with paths relative to the directory of the machine's images, for a dom0 whose kernel gets
	// the words given.
	Args func(dom0 string) []string
	// Line is dom0's name of QEMU's second serial port, which belongs to the lab alone.
	Line string
	// Modules are the kernel modules for dom0 and guests.
	Modules []string
}

// Machines are those that the lab has, in the order of running.
var Machines = []*Machine{
	amd64("xen-amd64", "xenstored"),
	amd64("xen-amd64-oxenstored", "oxenstored"),
}

func amd64(name, xenstored string) *Machine {
	return &Machine{
		Name:      name,
		Arch:      "amd64",
		Xenstored: xenstored,
		QEMU:      "qemu-system-x86_64",
		Package:   "qemu-system-x86",
		CC:        "x86_64-linux-gnu-gcc",
		CCPackage: "gcc libc6-dev",
		Line:      "/dev/ttyS1",
		Modules:   []string{"xen-evtchn", "xen-gntdev", "xen-gntalloc", "xen-privcmd", "xenfs"},
		// eager-fpu: without it processes crash now and then, with bytes of another domain's process on their stacks. Xen hands the vector
		// registers over lazily on AMD processors, which QEMU 7.2 poses as.
		Args: func(dom0 string) []string {
			return []string{
				"-accel", "tcg",
				// With SMAP and SMEP dom0 crashes at its first CPUID (Xen 4.17 under QEMU 7.2); with RDTSCP a PVH guest spins.
				"-cpu", "max,-smap,-smep,-rdtscp",
				"-m", "2048", "-smp", "2", "-net", "none",
				"-kernel", "xen",
				"-append", "console=com1 com1=115200 dom0_mem=768M,max:768M loglvl=warning spec-ctrl=eager-fpu",
				"-initrd", "vmlinux console=hvc0 quiet panic=1 " + dom0 + ",dom0.img",
			}
		},
	}
}
